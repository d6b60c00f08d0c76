"""Saving a list's state as a view, and changing and dropping views."""

from typing import Any, ClassVar
from urllib.parse import parse_qs

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.errors import NotFound
from crm.identity.models import Role, Team
from crm.registry import saveable_lists
from crm.savedviews.enums import Audience
from crm.savedviews.models import SavedView
from crm.savedviews.selectors import SHARE, address_of, as_seen_by, may_change
from crm.savedviews.services import ViewSettings, delete_view, find_view, save_view
from crm.web.pages import FormPage, Page


class ViewForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    audience = forms.ChoiceField(label=gettext_lazy("Who sees it"), widget=forms.RadioSelect)
    team = forms.TypedChoiceField(label=gettext_lazy("Team"), coerce=int, empty_value=None, required=False)
    is_pinned = forms.BooleanField(
        label=gettext_lazy("Pin to the sidebar"), required=False, help_text=gettext_lazy("For everybody who sees the view.")
    )
    default_for = forms.MultipleChoiceField(
        label=gettext_lazy("Opens first for"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("The list opens with this view for people of these roles."),
    )
    state = forms.CharField(required=False, widget=forms.HiddenInput, max_length=20_000)

    def __init__(self, *args: Any, by: Actor, view: SavedView | None = None, **kwargs: Any) -> None:
        initial = {**kwargs.pop("initial", {})}
        if view is not None:
            initial |= {"name": view.name, "audience": view.audience, "team": view.team_id}
            initial |= {"is_pinned": view.is_pinned, "default_for": view.default_for}
        super().__init__(*args, initial={"audience": Audience.PRIVATE, **initial}, **kwargs)
        teams = [(team.pk, team.name) for team in Team.objects.filter(pk__in={*by.team_ids, getattr(view, "team_id", None)} - {None})]
        kept = [Audience.PRIVATE, *([Audience.TEAM] if teams else [])]
        if by.can(SHARE) or (view is not None and view.audience == Audience.EVERYONE):
            kept.append(Audience.EVERYONE)
        self.fields["audience"].choices = [(value.value, value.label) for value in kept]  # type: ignore[attr-defined]
        self.fields["team"].choices = [("", _("Choose a team")), *teams]  # type: ignore[attr-defined]
        self.fields["default_for"].choices = list(Role.objects.values_list("code", "name"))  # type: ignore[attr-defined]
        if not teams:
            del self.fields["team"]
        if not by.can(SHARE):
            del self.fields["default_for"]

    def settings(self, view: SavedView | None) -> ViewSettings:
        data = self.cleaned_data
        return ViewSettings(
            name=data["name"],
            query=state_of(data["state"]) if view is None else None,
            audience=data["audience"],
            team_id=data.get("team"),
            is_pinned=data["is_pinned"],
            default_for=tuple(data["default_for"] if "default_for" in data else getattr(view, "default_for", ())),
            position=getattr(view, "position", 0),
        )


def state_of(text: str) -> dict[str, Any]:
    """A list's address as its parameters: those given several times as lists."""
    return {name: values if len(values) > 1 or name == "col" else values[0] for name, values in parse_qs(text.lstrip("?")).items()}


class NewViewPage(FormPage):
    """The state of a list, given a name."""

    template = "savedviews/view_form.html"
    form_class = ViewForm

    def form_arguments(self) -> dict[str, Any]:
        return {"by": self.actor, "initial": {"state": self.request.GET.get("state", "")[:20_000]}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        known = next((item for item in saveable_lists.of("main") if item.name == self.kwargs["list_name"]), None)
        if known is None:
            raise NotFound("No such list.")
        return {"form": form, "view": None, "list": known, "back": f"{known.url}?{form['state'].value() or ''}"}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, ViewForm)
        view = save_view(view=None, list_name=self.kwargs["list_name"], wanted=form.settings(None), by=self.actor)
        messages.success(self.request, _("The view is saved."))
        return redirect(address_of(as_seen_by(self.actor, view)))


class EditViewPage(FormPage):
    """A view's name and who sees it."""

    template = "savedviews/view_form.html"
    form_class = ViewForm

    def view_asked_for(self) -> SavedView:
        view = find_view(view_id=self.kwargs["pk"], by=self.actor)
        if not may_change(view, self.actor):
            raise NotFound("No such view.")
        return view

    def form_arguments(self) -> dict[str, Any]:
        return {"by": self.actor, "view": self.view_asked_for()}

    def context(self, form: forms.Form) -> dict[str, Any]:
        view = self.view_asked_for()
        known = next((item for item in saveable_lists.of("main") if item.name == view.list_name), None)
        return {"form": form, "view": view, "list": known, "back": address_of(as_seen_by(self.actor, view))}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, ViewForm)
        view = self.view_asked_for()
        save_view(view=view, wanted=form.settings(view), by=self.actor)
        messages.success(self.request, _("The view is saved."))
        return redirect(address_of(as_seen_by(self.actor, view)))


class KeepStatePage(Page):
    """What a list shows now becomes the view."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        view = find_view(view_id=pk, by=self.actor)
        wanted = ViewSettings(
            name=view.name,
            query=state_of(request.POST.get("state", "")),
            audience=view.audience,
            team_id=view.team_id,
            is_pinned=view.is_pinned,
            default_for=tuple(view.default_for),
            position=view.position,
        )
        view = save_view(view=view, wanted=wanted, by=self.actor)
        messages.success(request, _("The view is saved."))
        return redirect(address_of(as_seen_by(self.actor, view)))


class DeleteViewPage(Page):
    """Away with a view; the leads it shows stay."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        view = find_view(view_id=pk, by=self.actor)
        base = address_of(view).split("?", 1)[0]
        delete_view(view=view, by=self.actor)
        messages.success(request, _("The view is deleted."))
        return redirect(base)
