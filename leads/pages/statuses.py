"""Settings: the stages of leads, and the moves between them as a picture and as a table."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from leads.enums import StatusCategory
from leads.models import LeadStatus, LeadTransition
from leads.permissions import CONFIGURE, SEE_STAGES
from leads.selectors import counts_by_status
from leads.services.moves import (
    StatusSettings,
    allow_moves,
    delete_status,
    find_status,
    find_transition,
    required_names,
    save_status,
    save_transition,
)

# The picture: boxes in a row, won above and lost below their end.
WIDTH, HEIGHT, GAP, MIDDLE, MARGIN = 112, 40, 34, 170, 12
_STEP = WIDTH + GAP


def graph_of(statuses: Sequence[LeadStatus], moves: Sequence[LeadTransition], counts: dict[int, int]) -> dict[str, Any]:
    """The picture of the moves: open statuses in a row, the ends at its right, forward moves above and backward ones below."""
    row = [status for status in statuses if status.category == StatusCategory.OPEN]
    won = [status for status in statuses if status.category == StatusCategory.WON]
    lost = [status for status in statuses if status.category == StatusCategory.LOST]
    right = MARGIN + len(row) * _STEP
    places = {status.pk: (MARGIN + number * _STEP, MIDDLE) for number, status in enumerate(row)}
    places |= {status.pk: (right + number * _STEP, MIDDLE - 130) for number, status in enumerate(won)}
    places |= {status.pk: (right + number * _STEP, MIDDLE + 130) for number, status in enumerate(lost)}
    nodes = [
        {
            "status": status,
            "x": places[status.pk][0],
            "y": places[status.pk][1],
            "middle": places[status.pk][0] + WIDTH // 2,
            "text_y": places[status.pk][1] + 18,
            "sub_y": places[status.pk][1] + 32,
            "leads": counts.get(status.pk, 0),
        }
        for status in statuses
    ]
    lines = [_line(move, places) for move in moves if move.source_id in places and move.target_id in places]
    width = right + max(len(won), len(lost), 1) * _STEP + MARGIN
    return {"nodes": nodes, "lines": lines, "width": width, "height": MIDDLE + 130 + HEIGHT + MARGIN, "box": (WIDTH, HEIGHT)}


def _line(move: LeadTransition, places: dict[int, tuple[int, int]]) -> dict[str, Any]:
    (x, y), (to_x, to_y) = places[move.source_id], places[move.target_id]
    half = HEIGHT // 2
    if y == to_y and to_x - x == _STEP:
        path = f"M{x + WIDTH} {y + half} L{to_x - 4} {to_y + half}"
    elif y == to_y:
        # Over what lies between, the higher the farther; backward moves go below.
        reach = min(24 + abs(to_x - x) // 8, 100)
        forward = to_x > x
        edge, bend = (y, y - reach) if forward else (y + HEIGHT, y + HEIGHT + reach)
        tip = edge - 4 if forward else edge + 4
        start, end = x + WIDTH // 2 + 14, to_x + WIDTH // 2 - 14
        path = f"M{start} {edge} C{start} {bend} {end} {bend} {end} {tip}"
    elif to_x > x:
        above = to_y < y
        edge = y if above else y + HEIGHT
        start, level = x + WIDTH // 2, to_y + half
        path = f"M{start} {edge} C{start} {level} {start + 40} {level} {min(start + 90, to_x - 4)} {level} L{to_x - 4} {level}"
    else:
        above = to_y > y
        edge, tip = (y + HEIGHT, to_y - 4) if above else (y, to_y + HEIGHT + 4)
        level = y + half
        end = to_x + WIDTH // 2 - 30
        path = f"M{x} {level + 10} C{x - 60} {level + 10} {end} {level + 10} {end} {tip}"
    asks = bool(move.required_fields or move.needs_reason)
    back = to_x < x
    return {"path": path, "title": f"{move.source.label} → {move.target.label}", "asks": asks, "back": back}


class StatusesPage(SettingsFrame):
    """The statuses, the picture, and a matrix of boxes to tick: from the row's status to the column's.

    Who may not change them reads them.
    """

    capability = SEE_STAGES
    template = "leads/statuses.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        statuses = list(LeadStatus.objects.order_by("position", "pk"))
        active = [status for status in statuses if status.is_active]
        moves = list(LeadTransition.objects.select_related("source", "target"))
        counts = {status.pk: number for status, number in counts_by_status(self.actor)}
        by_pair = {(move.source_id, move.target_id): move for move in moves}
        names = dict(required_names())
        return self.show(
            {
                "statuses": [{"status": status, "leads": counts.get(status.pk, 0)} for status in statuses],
                "graph": graph_of(active, [move for move in moves if move.source.is_active and move.target.is_active], counts),
                "matrix": [
                    {
                        "status": source,
                        "cells": [
                            {"target": target, "is_self": source.pk == target.pk, "move": by_pair.get((source.pk, target.pk))}
                            for target in active
                        ],
                    }
                    for source in active
                ],
                "active": active,
                "can_configure": self.actor.can(CONFIGURE),
                "asking": [
                    {"move": move, "asks": [names.get(name, name) for name in move.required_fields]}
                    for move in sorted(moves, key=lambda move: (move.source.position, move.target.position))
                    if move.source.is_active and move.target.is_active
                ],
            }
        )

    def post(self, request: HttpRequest) -> HttpResponseBase:
        self.actor.require(CONFIGURE)
        active = {status.pk: status for status in LeadStatus.objects.filter(is_active=True)}
        pairs = {
            (int(source), int(target))
            for source, _dash, target in (text.partition("-") for text in request.POST.getlist("moves")[:2000])
            if source.isascii() and source.isdigit() and target.isascii() and target.isdigit()
        }
        come, gone = allow_moves(pairs=pairs, among=active, by=self.actor)
        said = [
            ngettext("%(number)s move allowed.", "%(number)s moves allowed.", come) % {"number": come} if come else "",
            ngettext("%(number)s move closed.", "%(number)s moves closed.", gone) % {"number": gone} if gone else "",
        ]
        messages.success(request, " ".join(text for text in said if text) or _("Nothing changed."))
        return redirect("leads:statuses")


class StatusForm(forms.Form):
    label = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=200, required=False)
    category = forms.ChoiceField(
        label=gettext_lazy("Meaning"), choices=StatusCategory.choices, help_text=gettext_lazy("What it means to figures and lists.")
    )
    position = forms.IntegerField(label=gettext_lazy("Order"), min_value=0, max_value=32767, required=False)
    is_active = forms.BooleanField(label=gettext_lazy("In use"), required=False, initial=True)


class StatusPage(SettingsFormPage):
    """One status, or a new one."""

    capability = CONFIGURE
    form_class = StatusForm
    template = "leads/status.html"
    success_message = gettext_lazy("The status is saved.")

    def form_arguments(self) -> dict[str, Any]:
        number = self.kwargs.get("number")
        self.status = find_status(number) if number is not None else None
        names = ("label", "description", "category", "position", "is_active")
        return {"initial": {name: getattr(self.status, name) for name in names}} if self.status else {}

    def context(self, form: forms.Form) -> dict[str, Any]:
        if self.status is not None and self.status.is_builtin:
            form.fields["category"].widget.attrs["aria-describedby"] = "status-builtin"
        return {"form": form, "status": self.status}

    def save(self, form: forms.Form) -> HttpResponseBase:
        save_status(status=self.status, wanted=StatusSettings(**form.cleaned_data), by=self.actor)
        return redirect("leads:statuses")


class DeleteStatusPage(SettingsFrame):
    capability = CONFIGURE

    def post(self, request: HttpRequest, number: int) -> HttpResponseBase:
        status = find_status(number)
        delete_status(status=status, by=self.actor)
        messages.success(request, _("%(name)s is deleted.") % {"name": status.label})
        return redirect("leads:statuses")


class TransitionForm(forms.Form):
    """What a move asks for."""

    needs_reason = forms.BooleanField(label=gettext_lazy("Ask for a reason"), required=False)
    required_fields = forms.MultipleChoiceField(
        label=gettext_lazy("Fields that must be filled"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["required_fields"].choices = required_names()  # type: ignore[attr-defined]


class TransitionPage(SettingsFormPage):
    capability = CONFIGURE
    form_class = TransitionForm
    template = "leads/status_move.html"
    success_message = gettext_lazy("Saved. It is asked for at every door from now on.")

    def form_arguments(self) -> dict[str, Any]:
        self.move = find_transition(self.kwargs["pk"])
        return {"initial": {"needs_reason": self.move.needs_reason, "required_fields": self.move.required_fields}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "move": self.move}

    def save(self, form: forms.Form) -> HttpResponseBase:
        save_transition(transition_id=self.move.pk, source=self.move.source, target=self.move.target, **form.cleaned_data, by=self.actor)
        return redirect("leads:statuses")
