"""Who may give leads, and who sets the rules by which they are given."""

from leads import permissions as leads

# Giving single leads follows `leads.permissions.can_give_to`; spreading many and looking at the workload needs this.
ASSIGN = leads.ASSIGN
VIEW, CHANGE, SEE_ALL = leads.VIEW, leads.CHANGE, leads.SEE_ALL
RULES = "assignments.change_assignmentrule"
