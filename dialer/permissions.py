"""Who may call, who steers the queues, and who listens to numbers."""

# Work in the queues one belongs to, and see one's own calls.
CALL = "dialer.make_call"
# See every queue and every call, and what each person does now.
COACH = "dialer.coach_calls"
# Agents, retry rules, do-not-call lists, entries of every queue.
MANAGE = "dialer.change_callingagent"
# The telephone company's account and the tenant's calling window.
CONFIGURE = "dialer.change_dialersettings"
