"""Who may do what with stages and service levels."""

from leads.permissions import CHANGE, SEE_ALL, VIEW

CONFIGURE_SLA = "pipeline.change_slapolicy"

__all__ = ["CHANGE", "CONFIGURE_SLA", "SEE_ALL", "VIEW"]
