"""Reads of operations."""

from django.db.models import QuerySet

from crm.actors import Actor
from crm.operations.models import Operation


def operations_visible_to(actor: Actor) -> QuerySet[Operation]:
    """One's own, or all of the tenant's with the permission."""
    operations = Operation.objects.select_related("created_by")
    return operations if actor.can("identity.see_all_operations") else operations.filter(created_by_id=actor.user_id)
