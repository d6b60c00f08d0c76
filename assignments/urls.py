from django.urls import path

from assignments.pages import fairness, pools, queue, rules, simulator, workload

app_name = "assignments"
urlpatterns = [
    path("assignments", workload.WorkloadPage.as_view(), name="workload"),
    path("assignments/people/<int:pk>", workload.PersonPage.as_view(), name="person"),
    path("assignments/people/<int:pk>/leave", workload.LeavePage.as_view(), name="leave"),
    path("assignments/people/<int:pk>/leave/<int:leave>/delete", workload.LeaveEndPage.as_view(), name="leave-delete"),
    path("assignments/people/<int:pk>/give", workload.HandOverPage.as_view(), name="hand-over"),
    path("assignments/queue", queue.QueuePage.as_view(), name="queue"),
    path("assignments/queue/<int:pk>", queue.TakePage.as_view(), name="take"),
    path("assignments/place", queue.PlacePage.as_view(), name="place"),
    path("assignments/rules", rules.RulesPage.as_view(), name="rules"),
    path("assignments/rules/new", rules.RulePage.as_view(), name="rule-new"),
    path("assignments/rules/<int:pk>", rules.RulePage.as_view(), name="rule"),
    path("assignments/rules/<int:pk>/action", rules.RuleActionPage.as_view(), name="rule-action"),
    path("assignments/rules/<int:pk>/conditions", rules.RuleConditionsPage.as_view(), name="rule-conditions"),
    path("assignments/pools", pools.PoolsPage.as_view(), name="pools"),
    path("assignments/pools/new", pools.PoolPage.as_view(), name="pool-new"),
    path("assignments/pools/<int:pk>", pools.PoolPage.as_view(), name="pool"),
    path("assignments/pools/<int:pk>/delete", pools.PoolDeletePage.as_view(), name="pool-delete"),
    path("assignments/fairness", fairness.FairnessPage.as_view(), name="fairness"),
    path("assignments/simulate", simulator.SimulatorPage.as_view(), name="simulate"),
]
