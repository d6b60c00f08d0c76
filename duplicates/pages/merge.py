"""Two or more leads side by side: whose value each field takes, what goes along, and the merge."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.errors import InvalidInput
from crm.normal import international
from crm.registry import merge_participants
from crm.web.pages import Page, safe_next
from duplicates.permissions import DECIDE
from duplicates.services.merge_rules import COMBINED, FIELDS, MergeRules
from duplicates.services.merging import LEAD, MOST_AT_ONCE, find_merge, merge_leads, undo_merge
from leads.models import Lead
from leads.permissions import CHANGE
from leads.selectors import leads_visible_to
from leads.services.custom_fields import visible_values

_LABELS = {
    "name": gettext_lazy("Name"), "email": gettext_lazy("E-mail"), "phone": gettext_lazy("Phone"), "company": gettext_lazy("Company"),
    "title": gettext_lazy("Job title"), "website": gettext_lazy("Website"), "industry": gettext_lazy("Industry"),
    "company_size": gettext_lazy("Company size"), "address": gettext_lazy("Address"), "notes": gettext_lazy("Notes"), "tags": gettext_lazy("Tags"),
    "custom_fields": gettext_lazy("Custom fields"), "status": gettext_lazy("Status"), "priority": gettext_lazy("Priority"),
    "assigned_to": gettext_lazy("Owner"), "lead_source": gettext_lazy("Source"), "conversion_probability": gettext_lazy("Probability"),
    "consent_time": gettext_lazy("Consent given"), "last_contact": gettext_lazy("Last contact"),
    "next_follow_up": gettext_lazy("Next follow-up"), "created_at": gettext_lazy("Created"),
}  # fmt: skip
_TOGETHER = "combine"


def ids_of(data: QueryDict) -> list[int]:
    """The leads named: `lead`, or the list's `ids`, in their order."""
    texts = [text for value in (*data.getlist("lead"), *data.getlist("ids")) for text in value.split(",") if text][: MOST_AT_ONCE + 2]
    if not all(text.isascii() and text.isdigit() and len(text) <= 18 for text in texts):
        raise InvalidInput({"lead": ["Must be numbers."]})
    return list(dict.fromkeys(int(text) for text in texts))


class MergePage(Page):
    """GET shows the leads, POST from the list's selection does too; POST with a target merges."""

    capability = DECIDE
    template = "duplicates/merge.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.compare(request.GET)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        if "target" not in request.POST:
            return self.compare(request.POST)
        self.actor.require(CHANGE)
        ids = ids_of(request.POST)
        target = int(request.POST["target"]) if request.POST["target"] in {str(pk) for pk in ids} else 0
        chosen = {name: request.POST.get(f"of-{name}", "") for name in FIELDS}
        values = {name: int(text) for name, text in chosen.items() if text in {str(pk) for pk in ids}}
        rules = MergeRules(combine=tuple(name for name in COMBINED if chosen[name] == _TOGETHER))
        merged = merge_leads(target_id=target, source_ids=[pk for pk in ids if pk != target], rules=rules, values=values, by=self.actor)
        text = ngettext("%(number)d lead is part of %(name)s now.", "%(number)d leads are part of %(name)s now.", len(merged.merges))
        undo = reverse("duplicates:unmerge", args=[merged.merges[0].pk]) if len(merged.merges) == 1 else ""
        messages.success(request, text % {"number": len(merged.merges), "name": merged.lead.display_name}, extra_tags=undo)
        following = safe_next(request, default=reverse("leads:detail", args=[merged.lead.pk]))
        return redirect(following)

    def compare(self, data: QueryDict) -> HttpResponseBase:
        ids = ids_of(data)
        found = {
            lead.pk: lead for lead in leads_visible_to(self.actor).select_related("status", "owner").filter(pk__in=ids).defer("search")
        }
        leads = [found[pk] for pk in ids if pk in found]
        if data.get("all_matching"):
            messages.info(self.request, _("A merge is for a few leads that are one. Select them one by one."))
            return redirect(f"{reverse('leads:list')}?{data.get('query', '')[:20_000]}")
        if len(leads) < 2:
            messages.info(self.request, _("Select at least two leads that may be one."))
            return redirect(safe_next(self.request, default=reverse("duplicates:queue")))
        target = max(leads, key=lambda lead: (_filled(lead), -lead.pk))
        wanted = data.get("target", "")
        target = found[int(wanted)] if wanted in {str(lead.pk) for lead in leads} else target
        rows, same = _rows(leads, target)
        return self.show(
            {
                "leads": leads,
                "target": target,
                "rows": rows,
                "same": same,
                "along": _along(leads, target),
                "next": data.get("next", ""),
                "switch": [(lead, f"?{urlencode({'lead': [item.pk for item in leads], 'target': lead.pk}, doseq=True)}") for lead in leads],
            }
        )


def _filled(lead: Lead) -> int:
    return sum(bool(getattr(lead, column)) for columns in FIELDS.values() for column in columns)


def _rows(leads: Sequence[Lead], target: Lead) -> tuple[list[dict[str, Any]], list[tuple[Any, str]]]:
    """The fields that differ, each with the leads' values and the one proposed, and those all agree on."""
    rows, same = [], []
    for name, label in _LABELS.items():
        values = [_said(name, lead) for lead in leads]
        if len(set(values)) == 1:
            if values[0]:
                same.append((label, values[0]))
            continue
        combines = name in COMBINED
        first = next((lead for lead in (target, *leads) if _said(name, lead)), target)
        rows.append(
            {
                "name": name,
                "label": label,
                "combines": combines,
                "cells": [
                    {"lead": lead, "value": value, "chosen": not combines and lead is first, "empty": not value}
                    for lead, value in zip(leads, values, strict=True)
                ],
            }
        )
    return rows, same


def _said(name: str, lead: Lead) -> str:
    """A field as a person reads it."""
    match name:
        case "name":
            return lead.full_name
        case "phone":
            return international(lead.phone)
        case "address":
            return ", ".join(part for part in (lead.city, lead.state, lead.country) if part)
        case "tags":
            return ", ".join(lead.tags)
        case "custom_fields":
            shown: Mapping[str, Any] = visible_values(lead.custom_fields, None) or {}
            return ", ".join(f"{key}: {value}" for key, value in sorted(shown.items()) if value not in ("", None))
        case "status":
            return lead.status.label
        case "priority":
            return str(lead.get_priority_display())
        case "assigned_to":
            return lead.owner.full_name if lead.owner else ""
        case "conversion_probability":
            return "" if lead.conversion_probability is None else f"{lead.conversion_probability:.0%}"
    value = getattr(lead, FIELDS[name][0])
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "year") else str(value or "")


def _along(leads: Sequence[Lead], target: Lead) -> list[tuple[Any, int]]:
    """What hangs on the leads that will be gone, by kind."""
    losers = [lead.pk for lead in leads if lead.pk != target.pk]
    counted = [(item.label, item.count(source_ids=losers)) for item in merge_participants.of(LEAD)]
    return [(label, number) for label, number in counted if number]


class UnmergePage(Page):
    """Take a merge back."""

    capability = DECIDE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        parted = undo_merge(merge_id=find_merge(merge_id=pk, by=self.actor).pk, by=self.actor)
        text = _("%(loser)s is a lead of its own again.") % {"loser": parted.loser.display_name}
        if parted.kept:
            names = ", ".join(str(item.get("field") or item.get("records")) for item in parted.kept)
            text = f"{text} {_('Changed since, so it stays as it is: %s.') % names}"
        messages.success(request, text)
        return redirect(safe_next(request, default=reverse("leads:detail", args=[parted.loser.pk])))
