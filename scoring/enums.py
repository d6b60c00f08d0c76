"""Grades and lifecycle stages (rules 0.38, 0.39)."""

GRADES = ((85, "A"), (70, "B"), (50, "C"), (0, "D"))
LIFECYCLE = (
    (80, "Sales Qualified Lead (SQL)"),
    (60, "Marketing Qualified Lead (MQL)"),
    (40, "Engaged Lead"),
    (0, "Lead"),
)
CUSTOMER, CLOSED = "Customer", "Closed"
PARTS = ("contact_info", "company_info", "lead_source", "engagement", "priority_status", "tags_bonus", "geographic_bonus")
