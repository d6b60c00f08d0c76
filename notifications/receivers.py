"""What notifications hear of from the kernel."""

from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.operations.events import OperationEnded
from crm.operations.models import Operation
from crm.tenancy.scope import current_tenant_id
from notifications.services import notify

OPERATION = "operation_ended"
# Who waited so long has probably gone on to something else.
LONG = 15.0


def tell_of_operation(event: OperationEnded) -> None:
    """Tell whoever asked for long work that it is over."""
    operation = Operation.objects.get(pk=event.operation_id)
    if operation.created_by_id is None or (event.seconds < LONG and not event.failed):
        return
    title = _("%(title)s failed") if event.failed else _("%(title)s is done")
    counted = _("%(done)s rows, %(failed)s failed.") % {"done": f"{operation.done:,}", "failed": f"{operation.failed:,}"}
    notify(
        kind=OPERATION,
        user_ids=[operation.created_by_id],
        title=title % {"title": operation.title},
        body=operation.error or counted,
        url=f"/operations/{operation.pk}",
        once=f"operation:{operation.pk}",
        by=Actor.system(tenant_id=current_tenant_id()),
    )
