"""Pools: named lists of people with weights."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments.models import Pool
from assignments.pages.shown import tabs_of
from assignments.permissions import RULES
from assignments.selectors import people_with_leads
from assignments.services.people import MOST_WEIGHT, delete_pool, save_pool
from crm.errors import NotFound
from crm.web.pages import FormPage, Page


def pool_or_404(pk: int) -> Pool:
    pool = Pool.objects.filter(pk=pk).first() if pk < 2**63 else None
    if pool is None:
        raise NotFound("No such pool.")
    return pool


class PoolForm(forms.Form):
    """A pool; each person has a field for the weight, which is empty for who is not in it."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    description = forms.CharField(label=gettext_lazy("What it is for"), max_length=200, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = people_with_leads()
        for person in self.people:
            self.fields[f"weight_{person.user.pk}"] = forms.IntegerField(
                label=person.user.full_name, min_value=1, max_value=MOST_WEIGHT, required=False
            )

    def weights(self) -> dict[int, int]:
        found = {person.user.pk: self.cleaned_data.get(f"weight_{person.user.pk}") for person in self.people}
        return {pk: weight for pk, weight in found.items() if weight}

    def weight_fields(self) -> list[Any]:
        return [self[f"weight_{person.user.pk}"] for person in self.people]


class PoolsPage(Page):
    """All pools with how many people and rules each has."""

    capability = RULES
    template = "assignments/pools.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        pools = Pool.objects.annotate(people=Count("memberships", distinct=True)).order_by("name")
        return self.show({"pools": pools, "tabs": tabs_of(self.actor, "pools")})


class PoolPage(FormPage):
    """One pool, or a new one."""

    capability = RULES
    template = "assignments/pool.html"
    form_class = PoolForm
    success_message = gettext_lazy("Saved.")

    def pool(self) -> Pool | None:
        return pool_or_404(self.kwargs["pk"]) if "pk" in self.kwargs else None

    def form_arguments(self) -> dict[str, Any]:
        pool = self.pool()
        if pool is None:
            return {}
        weights = {f"weight_{member.user_id}": member.weight for member in pool.memberships.all()}
        return {"initial": {"name": pool.name, "description": pool.description, **weights}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "pool": self.pool()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, PoolForm)
        pool, data = self.pool(), form.cleaned_data
        save_pool(
            pool_id=pool.pk if pool else None, name=data["name"], description=data["description"], weights=form.weights(), by=self.actor
        )
        return redirect("assignments:pools")


class PoolDeletePage(Page):
    capability = RULES

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        delete_pool(pool_id=pool_or_404(pk).pk, by=self.actor)
        messages.success(request, _("The pool was deleted."))
        return redirect("assignments:pools")
