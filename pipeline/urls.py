from django.urls import path

from pipeline.pages import control_room, lead, policies

app_name = "pipeline"
urlpatterns = [
    path("sla", control_room.ControlRoomPage.as_view(), name="control-room"),
    path("leads/<int:pk>/sla", lead.PausePage.as_view(), name="pause"),
    path("settings/sla", policies.PoliciesPage.as_view(), name="policies"),
    path("settings/sla/new", policies.PolicyPage.as_view(), name="policy-new"),
    path("settings/sla/<int:pk>", policies.PolicyPage.as_view(), name="policy"),
    path("settings/sla/<int:pk>/conditions", policies.PolicyConditionsPage.as_view(), name="policy-conditions"),
    path("settings/sla/<int:pk>/delete", policies.DeletePolicyPage.as_view(), name="policy-delete"),
]
