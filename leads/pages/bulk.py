"""Change or delete the leads selected in a list: what is to be done, what it would come to, and off it goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import IdsFilter, split_words
from crm.identity.selectors import active_users
from crm.operations import runner
from crm.operations.models import Operation
from crm.web.pages import UNPROCESSABLE, Page, add_refusal
from customobjects.pages.inputs import form_field
from customobjects.selectors import may_edit, visible_definitions
from leads.enums import COMPANY_SIZES, Priority, StatusCategory
from leads.permissions import ASSIGN, CHANGE, DELETE, EXPORT, HARD_DELETE, SKIP_TRANSITIONS
from leads.selectors import vocabulary
from leads.services.bulk import Selection, bulk_delete, bulk_edit, count_selected, preview_edit
from leads.services.drafts import RECORDS

# So many are changed before the list is back; more go to the operation's page.
AT_ONCE = 200
_NOBODY = "none"
# The input that names the custom fields to be emptied; no field's own name is without cf_.
_EMPTY = "empty"
_IDS = IdsFilter(label="ids", column="pk")


def selection_of(data: QueryDict) -> Selection:
    """The leads a list's selection bar posted. Raises InvalidInput."""
    if data.get("all_matching"):
        pairs = parse_qsl(data.get("query", "")[:20_000])
        return Selection(filters={name: text for name, text in pairs if name not in ("sort", "col", "w", "view", "group")})
    try:
        return Selection(ids=_IDS.parse(",".join(data.getlist("ids"))))
    except ValueError as error:
        raise InvalidInput({"ids": [str(error)]}) from None


def _is_loss(word: str) -> bool:
    found = vocabulary().find(word)
    return found is not None and found[0].category == StatusCategory.LOST


class BulkEditForm(forms.Form):
    """What the leads are to hold. What is left empty stays as it is on each."""

    status = forms.ChoiceField(label=gettext_lazy("Status"), required=False)
    reason = forms.CharField(
        label=gettext_lazy("Why the status changes"),
        required=False,
        max_length=500,
        help_text=gettext_lazy("The stage history keeps it."),
    )
    owner = forms.ChoiceField(label=gettext_lazy("Owner"), required=False)
    priority = forms.ChoiceField(label=gettext_lazy("Priority"), required=False)
    next_follow_up = forms.DateField(
        label=gettext_lazy("Next follow-up"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    add_tags = forms.CharField(
        label=gettext_lazy("Add tags"), required=False, max_length=500, help_text=gettext_lazy("Separated by commas.")
    )
    remove_tags = forms.CharField(label=gettext_lazy("Remove tags"), required=False, max_length=500)
    lead_source = forms.CharField(label=gettext_lazy("Source"), required=False, max_length=60)
    industry = forms.CharField(label=gettext_lazy("Industry"), required=False, max_length=100)
    company_size = forms.ChoiceField(label=gettext_lazy("Company size"), required=False)
    skip_rules = forms.BooleanField(
        label=gettext_lazy("Also past the allowed moves"), required=False, help_text=gettext_lazy("The stage history records it.")
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep = [("", _("Leave as it is"))]
        self._choose("status", [*keep, *((status.code, status.label) for status in vocabulary().statuses)])
        people = active_users() if actor.can(ASSIGN) else active_users().filter(pk=actor.user_id)
        self._choose("owner", [*keep, (_NOBODY, _("Nobody")), *((str(user.pk), user.full_name) for user in people)])
        self._choose("priority", [*keep, *((str(value), label) for value, label in Priority.choices)])
        self._choose("company_size", [*keep, *((size, size) for size in COMPANY_SIZES)])
        if not actor.can(SKIP_TRANSITIONS):
            del self.fields["skip_rules"]
        self.own = [item for item in visible_definitions(RECORDS, actor) if may_edit(item, actor)]
        for item in self.own:
            field = form_field(item, required=False, in_place=True)
            self.fields[item.name] = field
            if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.MultipleChoiceField):
                choices = [(str(value), label) for value, label in cast("list[tuple[Any, Any]]", field.choices) if str(value)]
                self._choose(item.name, [*keep, *choices])
        if self.own:
            self.fields[_EMPTY] = forms.MultipleChoiceField(
                label=_("Empty these fields"),
                required=False,
                choices=[(item.name, item.label) for item in self.own],
                widget=forms.CheckboxSelectMultiple,
            )

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def updates(self) -> dict[str, Any]:
        data = self.cleaned_data
        updates: dict[str, Any] = {name: data[name] for name in ("status", "lead_source", "industry", "company_size") if data[name]}
        if data["status"] and data["reason"]:
            # Where the status means a loss it is the lead's own, too.
            updates["move_note"] = data["reason"]
            updates |= {"lost_reason": data["reason"][:100]} if _is_loss(data["status"]) else {}
        if data["owner"]:
            updates["owner_id"] = None if data["owner"] == _NOBODY else int(data["owner"])
        if data["priority"]:
            updates["priority"] = int(data["priority"])
        if data["next_follow_up"]:
            updates["next_follow_up_at"] = timezone.make_aware(datetime.combine(data["next_follow_up"], time(9)))
        for name in ("add_tags", "remove_tags"):
            if data[name]:
                updates[name] = split_words(data[name])
        emptied = data.get(_EMPTY, [])
        own = {item.key: None if item.name in emptied else data[item.name] for item in self.own if item.name in emptied or data[item.name]}
        return {**updates, **({"custom_fields": own} if own else {})}

    def clean(self) -> dict[str, Any]:
        """A field is given a value or emptied."""
        data = super().clean() or {}
        for name in data.get(_EMPTY, []):
            if data.get(name):
                self.add_error(name, _("Give it a value, or empty it."))
        return data

    def said(self) -> list[tuple[Any, str]]:
        """What is to be changed, as a page says it."""
        shown = []
        for name, field in self.fields.items():
            value = self.cleaned_data.get(name)
            if value and name != "skip_rules":
                choices = {str(code): str(label) for code, label in getattr(field, "choices", ())}
                values = value if isinstance(value, list) else [value]
                shown.append((field.label, ", ".join(choices.get(str(one), str(one)) for one in values)))
        return shown

    def custom_fields(self) -> list[forms.BoundField]:
        return [self[item.name] for item in self.own]

    @contextmanager
    def refusals_at_fields(self) -> Iterator[None]:
        """Let a service's refusal of a custom field stand at its input."""
        names = {item.problem_name: item.name for item in self.own}
        try:
            yield
        except InvalidInput as refusal:
            raise InvalidInput({names.get(name, name): texts for name, texts in refusal.problems.items()}) from None


class BulkPage(Page):
    """Base of what the selection bar posts to."""

    # What to say when a selection cannot be read, or holds nothing that the actor sees.
    def post(self, request: HttpRequest) -> HttpResponseBase:
        selection = selection_of(request.POST)
        number = count_selected(selection=selection, by=self.actor) if selection.ids or selection.filters is not None else 0
        if not number:
            messages.info(request, _("Select some leads first."))
            return redirect(self.back())
        return self.act(selection, number)

    def act(self, selection: Selection, number: int) -> HttpResponseBase:
        raise AssertionError(f"{type(self).__name__} must say what it does.")

    def back(self) -> str:
        """The list one came from."""
        query = self.request.POST.get("query", "")[:20_000]
        return f"{reverse('leads:list')}?{query}" if query else reverse("leads:list")

    def around(self, number: int) -> dict[str, Any]:
        posted = self.request.POST
        return {
            "number": number,
            "back": self.back(),
            "kept": [(name, posted.get(name, "")) for name in ("query", "all_matching") if posted.get(name)]
            + [("ids", ",".join(posted.getlist("ids")))] * (not posted.get("all_matching")),
        }

    def begun(self, operation: Operation, number: int, text: str) -> HttpResponseBase:
        """Do little work before the answer, with an Undo in the message; show the operation of much."""
        if number > AT_ONCE:
            return redirect("operations:operation", id=operation.pk)
        runner.run_inline(operation)
        if operation.failed:
            return redirect("operations:operation", id=operation.pk)
        undo = reverse("audit:undo", args=[operation.pk]) if operation.updated and runner.is_undoable(operation) else ""
        messages.success(self.request, text % {"number": f"{operation.updated:,}"}, extra_tags=undo)
        return redirect(self.back())


class BulkEditPage(BulkPage):
    """The form, the counts of what it would come to, and the change."""

    capability = CHANGE
    template = "leads/bulk_edit.html"

    def act(self, selection: Selection, number: int) -> HttpResponseBase:
        step = self.request.POST.get("step", "")
        if not step:
            return self.show({"form": BulkEditForm(actor=self.actor), **self.around(number)})
        form = BulkEditForm(self.request.POST, actor=self.actor)
        if form.is_valid() and step != "back":
            try:
                skip = form.cleaned_data.get("skip_rules", False)
                with form.refusals_at_fields():
                    if step == "run":
                        operation = bulk_edit(selection=selection, updates=form.updates(), skip_rules=skip, by=self.actor)
                        return self.begun(operation, number, ngettext("%(number)s lead changed.", "%(number)s leads changed.", number))
                    preview = preview_edit(selection=selection, updates=form.updates(), skip_rules=skip, by=self.actor)
                return self.show({"form": form, "preview": preview, "said": form.said(), **self.around(number)})
            except InvalidInput as refusal:
                add_refusal(form, refusal)
        return self.show({"form": form, **self.around(number)}, status=200 if step == "back" else UNPROCESSABLE)


class BulkDeletePage(BulkPage):
    """Into the bin, or for good."""

    capability = DELETE
    template = "leads/bulk_delete.html"

    def act(self, selection: Selection, number: int) -> HttpResponseBase:
        if self.request.POST.get("step") != "run":
            return self.show({"may_purge": self.actor.can(HARD_DELETE), **self.around(number)})
        for_good = self.request.POST.get("for_good") == "1"
        reason = self.request.POST.get("reason", "").replace("\x00", "")[:500]
        operation = bulk_delete(selection=selection, for_good=for_good, reason=reason, by=self.actor)
        return self.begun(operation, number, ngettext("%(number)s lead deleted.", "%(number)s leads deleted.", number))


class BulkExportPage(BulkPage):
    """The selection, taken to the export's page."""

    capability = EXPORT

    def act(self, selection: Selection, number: int) -> HttpResponseBase:
        query = (
            self.request.POST.get("query", "")[:20_000]
            if selection.filters is not None
            else urlencode({"ids": ",".join(map(str, selection.ids))})
        )
        return redirect(f"{reverse('leads:export')}?{query}")
