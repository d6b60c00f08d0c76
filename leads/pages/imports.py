"""The import wizard: upload, map, options, check, run. Every step has its address; all of its state is in the draft."""

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.errors import DomainError, Forbidden
from crm.operations.models import Operation
from crm.operations.pages import counters_of
from crm.operations.selectors import drafts_of
from crm.operations.services import AlreadyOver, cancel_operation, discard_draft
from crm.web.pages import UNPROCESSABLE, FormPage, Page, safe_next
from leads.pages.import_forms import DELIMITERS, FIELD_GROUPS, NEW_KINDS, MapForm, OptionsForm, RowForm, UploadForm
from leads.permissions import IMPORT
from leads.services.custom_fields import map_with_new_fields
from leads.services.field_names import field_named
from leads.services.import_rows import ImportOptions
from leads.services.imports import CUSTOM, KIND, LEAVE_OUT, check_import, configure_import, draft_import, run_import
from leads.services.mending import (
    FIRST_ROWS,
    SheetRow,
    failing_rows,
    find_import,
    find_row,
    first_rows,
    is_outdated,
    latest_check,
    leave_row_out,
    mend_row,
    remembered_mapping,
    take_row_in,
)

ROWS_PER_PAGE = 50
# The columns of the grid; the row's own page has all of them.
MOST_IN_GRID = 24
MOST_DRAFTS = 50

_STEPS = (
    ("upload", gettext_lazy("Upload")),
    ("map", gettext_lazy("Map")),
    ("options", gettext_lazy("Options")),
    ("check", gettext_lazy("Check")),
    ("result", gettext_lazy("Result")),
)


def steps(present: str, draft: Operation | None = None) -> list[dict[str, Any]]:
    """The steps with the addresses of those one can go to now."""
    names = [name for name, _label in _STEPS]
    urls = {"upload": reverse("leads:import")}
    if draft is not None:
        urls |= {name: reverse(f"leads:import-{name}", args=[draft.pk]) for name in ("map", "options", "check")}
    return [
        {"label": label, "url": urls.get(name, ""), "current": name == present, "done": names.index(name) < names.index(present)}
        for name, label in _STEPS
    ]


# --- upload ---


class UploadPage(FormPage):
    """Choose a file, or go on with one that was chosen before."""

    capability = IMPORT
    form_class = UploadForm
    template = "leads/import_upload.html"

    def save(self, form: forms.Form) -> HttpResponseBase:
        draft = draft_import(file=form.cleaned_data["file"], sheet=form.cleaned_data["sheet"], by=self.actor)
        return redirect("leads:import-map", draft.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "drafts": drafts_of(self.actor, kind=KIND)[:MOST_DRAFTS], "steps": steps("upload")}


# --- steps of a draft ---


class StepPage(Page):
    """Base of the pages on one's own draft. One that was started meanwhile is shown by its operation's page."""

    capability = IMPORT
    step: ClassVar[str] = ""

    @cached_property
    def draft(self) -> Operation:
        """The draft; while something is posted to it, whatever else is waits."""
        return find_import(operation_id=self.kwargs["pk"], lock=self.request.method == "POST", by=self.actor)

    def refused(self, refusal: DomainError) -> HttpResponseBase:
        if not isinstance(refusal, AlreadyOver):
            return super().refused(refusal)
        return self.leave(reverse("operations:operation", args=[self.kwargs["pk"]]))

    def leave(self, url: str) -> HttpResponse:
        if self.request.htmx:  # type: ignore[attr-defined]
            return HttpResponse(headers={"HX-Redirect": url})
        return redirect(url)

    def frame(self) -> dict[str, Any]:
        return {"draft": self.draft, "layout": self.draft.params["layout"], "steps": steps(self.step, self.draft)}


class MapPage(StepPage, FormPage):
    """Which column fills which field."""

    template = "leads/import_map.html"
    step = "map"

    def form(self, *data: Any) -> forms.Form:
        return MapForm(*data, draft=self.draft, actor=self.actor)

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, MapForm)
        map_with_new_fields(operation=self.draft, mapping=form.mapping, new=form.new, by=self.actor)
        return redirect("leads:import-options", self.draft.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        assert isinstance(form, MapForm)
        layout, mapping = self.draft.params["layout"], self.draft.params["mapping"]
        remembered = remembered_mapping(self.draft)
        rows = []
        for place, header in enumerate(layout["headers"]):
            chosen, named, kind = form[f"field-{place}"], form[f"name-{place}"], form[f"kind-{place}"]
            code = chosen.value()
            rows.append(
                {
                    "place": place,
                    "header": header,
                    "samples": [sample[place] for sample in layout["samples"] if place < len(sample)],
                    "code": code,
                    "name": named.value(),
                    "kind": kind.value(),
                    "errors": [*chosen.errors, *named.errors, *kind.errors],
                    "matched": code == field_named(header) or (code != CUSTOM and code.startswith(CUSTOM)),
                }
            )
        return {
            **self.frame(),
            "form": form,
            "rows": rows,
            "groups": [*FIELD_GROUPS, *([form.group()] if form.own else [])],
            "custom": CUSTOM,
            "kinds": NEW_KINDS if form.may_add else (),
            "leave_out": LEAVE_OUT,
            "as_last_time": bool(remembered) and all(mapping.get(header) == code for header, code in remembered.items()),
            "matched": sum(row["matched"] for row in rows),
            "encoding": layout["encoding"].upper(),
            "delimiter": DELIMITERS.get(layout["delimiter"], layout["delimiter"]),
        }


class OptionsPage(StepPage, FormPage):
    """What to do with leads that are there, and what all of the rows get."""

    template = "leads/import_options.html"
    step = "options"

    def form(self, *data: Any) -> forms.Form:
        options = ImportOptions.read(self.draft.params)
        initial = {
            "on_duplicate": str(options.on_duplicate),
            "match_by": str(options.match_by),
            "keep_existing": "1" if options.keep_existing else "",
            "owner": str(options.owner_id or ""),
            "lead_source": options.lead_source,
            "tags": ", ".join(options.tags),
        }
        return OptionsForm(*data, actor=self.actor, initial=initial)

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, OptionsForm)
        configure_import(operation=self.draft, options=form.options(), by=self.actor)
        return redirect("leads:import-check", self.draft.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {**self.frame(), "form": form}


# --- check ---


class SheetPage(StepPage):
    """Base of the pages that show rows of the file."""

    step = "check"

    def columns(self) -> list[tuple[int, str]]:
        """Place and header of the columns in the grid: those that fill a lead's field first, then one's own."""
        mapping, headers = self.draft.params["mapping"], self.draft.params["layout"]["headers"]
        used = [(place, header) for place, header in enumerate(headers) if mapping.get(header) != LEAVE_OUT]
        first = sorted(used, key=lambda item: mapping.get(item[1], CUSTOM).startswith(CUSTOM))
        return sorted(first[:MOST_IN_GRID])

    def changes(self, check: Operation | None) -> dict[str, Any]:
        """What was changed in rows, and whether the check knows of it."""
        edits = self.draft.params["edits"].values()
        return {
            "outdated": check is not None and is_outdated(check, self.draft),
            "mended": sum(edit is not None for edit in edits),
            "dropped": sum(edit is None for edit in edits),
        }

    def drawn(self, row: SheetRow, *, editing: int | None = None, saved: int | None = None) -> dict[str, Any]:
        """A row as the grid shows it; with the form in the cell `editing`, and the focus in the cell `saved`."""
        cells = [
            {
                "place": place,
                "header": header,
                "text": row.values.get(header, ""),
                "wrong": header == row.wrong and not row.dropped,
                "mended": header in row.mended,
                "editing": place == editing,
                "focus": place == saved,
            }
            for place, header in self.columns()
        ]
        # On a narrow screen the cell to be mended stands for the row, or a few of them read as one line.
        summary = " · ".join([cell["text"] for cell in cells if cell["text"]][:3])
        return {"row": row, "cells": cells, "summary": summary, "url": reverse("leads:import-row", args=[self.draft.pk, row.number])}


class CheckPage(SheetPage):
    """A dry run: its progress, what the import would come to, and the rows that would fail, to be mended in place."""

    template = "leads/import_check.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        check = latest_check(self.draft)
        if request.htmx and "cursor" in request.GET:  # type: ignore[attr-defined]
            return self.show({**self.frame(), **self.sheet(check)}, part="rows")
        part = "state" if request.htmx else ""  # type: ignore[attr-defined]
        return self.show(self.state(check), part=part)

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        check = latest_check(self.draft)
        action = request.POST.get("action")
        open_check = check if check is not None and not check.is_over else None
        if action == "check" and open_check is None:
            check_import(operation=self.draft, by=self.actor)
        elif action == "stop" and open_check is not None:
            cancel_operation(operation=open_check, by=self.actor)
        elif action == "reset":
            configure_import(operation=self.draft, edits={}, by=self.actor)
        return redirect("leads:import-check", self.draft.pk)

    def state(self, check: Operation | None) -> dict[str, Any]:
        running = check is not None and not check.is_over
        return {
            **self.frame(),
            "check": check,
            "running": running,
            "counters": self.totals(check) if check is not None and check.is_over else [],
            **self.changes(check),
            **({} if running else self.sheet(check)),
        }

    def totals(self, check: Operation) -> list[dict[str, Any]]:
        labels = (_("Would be created"), _("Would be updated"), _("Would be skipped"), _("Would fail"))
        counters = [{**item, "label": label} for item, label in zip(counters_of(check), labels, strict=True)]
        counters[-1]["url"] = ""
        return counters

    def sheet(self, check: Operation | None) -> dict[str, Any]:
        """The grid: the rows that failed the check, or the first ones of the file."""
        show = self.request.GET.get("rows", "")
        only_errors = check is not None and check.failed > 0 and show != "first"
        cursor: str | None = None
        if only_errors and check is not None:
            given = self.request.GET.get("cursor", "")
            rows, cursor = failing_rows(draft=self.draft, check=check, cursor=given, limit=ROWS_PER_PAGE, by=self.actor)
        else:
            rows = first_rows(draft=self.draft, check=check, by=self.actor)
        here = reverse("leads:import-check", args=[self.draft.pk])
        columns = self.columns()
        return {
            "rows": [self.drawn(row) for row in rows],
            "columns": columns,
            "further": sum(code != LEAVE_OUT for code in self.codes()) - len(columns),
            "only_errors": only_errors,
            "shows_first": not only_errors,
            "more_url": f"{here}?cursor={cursor}" if cursor else "",
            "first": "cursor" not in self.request.GET,
            "most": FIRST_ROWS,
        }

    def codes(self) -> list[str]:
        return [self.draft.params["mapping"].get(header, CUSTOM) for header in self.draft.params["layout"]["headers"]]


class RowPage(SheetPage):
    """A row of the file with all of its cells. In the grid the row alone, or one cell of it as a form."""

    template = "leads/import_row.html"

    def get(self, request: HttpRequest, pk: int, row: int) -> HttpResponseBase:
        found = find_row(draft=self.draft, number=row, by=self.actor)
        place = self.place(request.GET.get("column", ""))
        if request.htmx and place is not None:  # type: ignore[attr-defined]
            return self.cell(found, place, RowForm(row=found, columns=self.all_columns(place), auto_id=f"row-{row}-%s"))
        return self.whole(found, RowForm(row=found, columns=self.all_columns()))

    def post(self, request: HttpRequest, pk: int, row: int) -> HttpResponseBase:
        found = find_row(draft=self.draft, number=row, by=self.actor)
        place = self.place(request.POST.get("column", ""))
        form = RowForm(request.POST, row=found, columns=self.all_columns(place), auto_id=f"row-{row}-%s")
        try:
            saved = self.save(found, form)
        except Forbidden:
            raise
        except DomainError as refusal:
            saved = None
            form.add_error(f"cell-{place}" if place is not None else None, refusal.message)
        if saved is None and request.htmx:  # type: ignore[attr-defined]
            return self.unsaved(found, place, form)
        if saved is None:
            return self.whole(found, form, status=UNPROCESSABLE)
        if request.htmx:  # type: ignore[attr-defined]
            context = {"item": self.drawn(saved, saved=place), "moved": place is None, **self.changes(latest_check(self.draft))}
            return self.show({**self.frame(), **context}, part="saved")
        if saved.problem and not saved.dropped:
            messages.warning(request, _("Row %(number)s: %(problem)s") % {"number": row, "problem": saved.problem})
        return redirect(safe_next(request, default=reverse("leads:import-check", args=[pk])))

    def save(self, row: SheetRow, form: RowForm) -> SheetRow | None:
        """The row as it is after what was asked for; None where a cell is refused."""
        action = self.request.POST.get("action")
        if action == "leave-out":
            return leave_row_out(draft=self.draft, number=row.number, by=self.actor)
        if action == "take-in":
            return take_row_in(draft=self.draft, number=row.number, by=self.actor)
        if not form.is_valid():
            return None
        return mend_row(draft=self.draft, number=row.number, cells=form.cells(), by=self.actor)

    def place(self, text: str) -> int | None:
        known = text.isascii() and text.isdigit() and len(text) < 4 and int(text) < len(self.draft.params["layout"]["headers"])
        return int(text) if known else None

    def all_columns(self, place: int | None = None) -> list[tuple[int, str]]:
        headers: list[str] = self.draft.params["layout"]["headers"]
        return [(at, header) for at, header in enumerate(headers) if place is None or at == place]

    def cell(self, row: SheetRow, place: int, form: RowForm, *, status: int = 200) -> HttpResponseBase:
        item = self.drawn(row, editing=place)
        return self.show({**self.frame(), "item": item, "place": place, "field": form[f"cell-{place}"]}, part="cell", status=status)

    def unsaved(self, row: SheetRow, place: int | None, form: RowForm) -> HttpResponseBase:
        """The cell's form with what is wrong; what is about no cell is said in a toast, and the row stays as it is."""
        if place is None:
            text = next(iter(form.errors.values()))[0]
            return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"toast": {"text": text, "level": "error"}})})
        answer = self.cell(row, place, form, status=UNPROCESSABLE)
        answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "this", "outerHTML"
        return answer

    def whole(self, row: SheetRow, form: RowForm, *, status: int = 200) -> HttpResponseBase:
        fields = [
            {"field": form[f"cell-{place}"], "wrong": header == row.wrong, "mended": header in row.mended}
            for place, header in self.all_columns()
        ]
        return self.show({**self.frame(), "row": row, "form": form, "fields": fields}, status=status)


# --- run, throw away ---


class RunPage(StepPage):
    """Start the import, and watch its operation."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        run_import(operation=self.draft, by=self.actor)
        return redirect("operations:operation", pk)


class DiscardPage(StepPage):
    """Throw a draft away with its file."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        discard_draft(operation=self.draft, by=self.actor)
        messages.success(request, _("Thrown away. Nothing was imported."))
        return redirect("leads:import")
