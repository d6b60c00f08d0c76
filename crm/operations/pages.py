"""Pages of long work: all of it, one with its progress, and the rows that failed."""

import csv
from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.operations.enums import RowOutcome, State
from crm.operations.models import Operation
from crm.operations.runner import kind_of
from crm.operations.selectors import operations_visible_to, rows_after, rows_seen_by
from crm.operations.services import cancel_operation
from crm.registry import sections
from crm.tenancy.scope import tenant_scope
from crm.text import safe_cell
from crm.web.pages import Page

PER_PAGE, ERRORS_PER_PAGE, ROWS_PER_READ = 50, 50, 500


class OperationsPage(Page):
    """One's own operations, or everybody's with the permission."""

    template = "operations/operations.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        state = request.GET.get("state", "")
        operations = operations_visible_to(self.actor)
        if state in State.values:
            operations = operations.filter(state=state)
        page = Paginator(operations, PER_PAGE).get_page(request.GET.get("page"))
        running = any(not operation.is_over for operation in page.object_list)
        context = {"page": page, "states": State.choices, "state": state, "running": running}
        return self.show(context, part="rows" if request.htmx else "")  # type: ignore[attr-defined]


class OneOperationPage(Page):
    """Base of pages on one operation."""

    def operation(self) -> Operation:
        pk = self.kwargs["id"]
        operation = operations_visible_to(self.actor).filter(pk=pk).first() if pk < 2**63 else None
        if operation is None:
            raise Http404
        return operation


class OperationPage(OneOperationPage):
    """Progress while it runs, counters, result and the rows that failed."""

    template = "operations/operation.html"

    def get(self, request: HttpRequest, id: int) -> HttpResponseBase:
        operation = self.operation()
        if request.htmx and "cursor" in request.GET:  # type: ignore[attr-defined]
            return self.show(self.errors(operation), part="errors")
        part = "progress" if request.htmx else ""  # type: ignore[attr-defined]
        context = {
            "operation": operation,
            "counters": counters_of(operation),
            "actions": [
                {"template": item.template, "data": item.build(operation, self.actor)} for item in sections.of("operations.Operation")
            ],
            **self.errors(operation),
        }
        return self.show(context, part=part)

    def errors(self, operation: Operation) -> dict[str, Any]:
        outcome = RowOutcome.SKIPPED if self.request.GET.get("rows") == RowOutcome.SKIPPED else RowOutcome.FAILED
        rows, cursor = rows_after(operation, outcome=outcome, cursor=self.request.GET.get("cursor", ""), limit=ERRORS_PER_PAGE)
        kept, errors = getattr(operation, outcome), rows_seen_by(self.actor, operation, rows)
        return {
            "operation": operation, "record_url": links_of(operation).get("record", ""), "outcome": outcome, "kept": kept, "errors": errors, "cursor": cursor, "first": "cursor" not in self.request.GET,
        }  # fmt: skip


def links_of(operation: Operation) -> dict[str, str]:
    """The pages that show what a counter counted; under `record`, the address of one record without its id."""
    kind = kind_of(operation)
    return kind.links(operation) if kind and kind.links else {}


def counters_of(operation: Operation) -> list[dict[str, Any]]:
    """What the rows came to, and where they can be seen. They add up to the rows done."""
    own = f"/operations/{operation.pk}"
    links, kind = links_of(operation), kind_of(operation)
    labels = kind.labels if kind else {}
    usual = (
        ("created", _("Created"), "plus", links.get("created", "")),
        ("updated", _("Updated"), "pencil", links.get("updated", "")),
        ("skipped", _("Skipped"), "skip-forward", f"{own}?rows=skipped#rows"),
        ("failed", _("Failed"), "circle-alert", f"{own}#rows"),
    )
    return [
        {"label": labels.get(name, label), "value": getattr(operation, name), "icon": icon, "url": url} for name, label, icon, url in usual
    ]


class CancelPage(OneOperationPage):
    """Stop after the chunk in progress."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        cancel_operation(operation=self.operation(), by=self.actor)
        messages.success(request, _("Stopped. What was done before stays."))
        return redirect("operations:operation", id=id)


class FailedRowsPage(OneOperationPage):
    """The failed rows as CSV: row, field, reason and what it held, to be mended and imported again."""

    def get(self, request: HttpRequest, id: int) -> HttpResponseBase:
        operation = self.operation()
        response = StreamingHttpResponse(failed_rows_csv(operation, self.actor), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="failed-rows-{operation.pk}.csv"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class _Echo:
    def write(self, value: str) -> str:
        return value


def failed_rows_csv(operation: Operation, by: Actor) -> Iterator[str]:
    """Lines of CSV, read page by page, each page in a scope of its own: the request's is closed when they flow."""
    writer = csv.writer(_Echo())
    columns = _columns(operation, by)
    yield "\ufeff" + writer.writerow([str(_("Row")), str(_("Field")), str(_("Reason")), *(safe_cell(name) for name in columns)])
    cursor: str | None = ""
    while cursor is not None:
        with tenant_scope(operation.tenant_id, by=by):
            rows, cursor = rows_after(operation, cursor=cursor, limit=ROWS_PER_READ)
            errors = rows_seen_by(by, operation, rows)
        for error in errors:
            yield writer.writerow([error.row, error.field, safe_cell(error.message), *(_cell(error.values.get(name)) for name in columns)])


def _columns(operation: Operation, by: Actor) -> list[str]:
    """The columns of the rows that failed, in the order in which they are met."""
    columns: dict[str, None] = {}
    with tenant_scope(operation.tenant_id, by=by):
        for error in rows_seen_by(by, operation, rows_after(operation, limit=ROWS_PER_READ)[0]):
            columns.update(dict.fromkeys(error.values))
    return list(columns)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return safe_cell(value if isinstance(value, str | int | float) else str(value))
