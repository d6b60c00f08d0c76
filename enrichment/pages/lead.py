"""The panel on a lead's page, and enriching a lead from it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.actors import Actor
from crm.web.pages import Page, safe_next
from enrichment.permissions import ENRICH
from enrichment.selectors import enrichment_of
from enrichment.services.bulk import start_enrichment
from enrichment.services.enriching import Enriching, Options, begin_enrichment, finish_enrichment
from leads.models import Lead
from leads.pages.bulk import selection_of
from leads.permissions import CHANGE
from leads.services.editing import find_lead

_WORDS = {
    "high_business": gettext_lazy("Very likely a business"),
    "medium_business": gettext_lazy("Perhaps a business"),
    "low_business": gettext_lazy("Likely a private person"),
    "executive": gettext_lazy("Executive"),
    "senior": gettext_lazy("Senior"),
    "mid": gettext_lazy("Mid-level"),
    "junior": gettext_lazy("Junior"),
    "high": gettext_lazy("High"),
    "medium": gettext_lazy("Medium"),
    "low": gettext_lazy("Low"),
    "large": gettext_lazy("Large"),
    "small": gettext_lazy("Small"),
}


def enrichment_section(lead: Lead, actor: Actor) -> dict[str, Any]:
    """What was found about a lead, for its page."""
    enrichment, known = enrichment_of(lead)
    items = [{"known": item, "value": _WORDS.get(item.source.value, item.source.value)} for item in known]
    return {"lead": lead, "enrichment": enrichment, "items": items, "may": actor.can(ENRICH) and actor.can(CHANGE)}


class EnrichPage(Page):
    """Enrich one lead now, whenever it was enriched last."""

    capability = ENRICH
    begun: Enriching | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """In two transactions: one finds out what to ask, one writes. Others are asked between them."""
        answer = super().dispatch(request, *args, **kwargs)
        if self.begun is None:
            return answer
        self.begun.fetch()
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if self.begun is None:
            lead = find_lead(lead_id=pk if pk < 2**63 else 0, by=self.actor)
            self.begun = begin_enrichment(lead_ids=[lead.pk], options=Options(skip_recent=False), by=self.actor)
            return HttpResponse(status=204)
        (result,) = finish_enrichment(begun=self.begun, by=self.actor)
        if not result.success:
            messages.error(request, _("Nothing was found: %(why)s") % {"why": result.reason})
        elif result.fields:
            found = ngettext("%(n)s field found", "%(n)s fields found", result.fields) % {"n": result.fields}
            written = ngettext("%(n)s written into the lead", "%(n)s written into the lead", len(result.written)) % {
                "n": len(result.written)
            }
            messages.success(request, f"{found}, {written}." + (f" {result.reason}" if result.reason else ""))
        else:
            messages.info(request, _("Nothing is known about this lead."))
        return redirect(safe_next(request, default=reverse("leads:detail", args=[pk])))


class EnrichManyPage(Page):
    """Enrich the leads selected in a list, in the background."""

    capability = ENRICH

    def post(self, request: HttpRequest) -> HttpResponseBase:
        selection = selection_of(request.POST)
        if not selection.ids and selection.filters is None:
            messages.info(request, _("Select some leads first."))
            return redirect("leads:list")
        operation = start_enrichment(ids=selection.ids, filters=selection.filters, by=self.actor)
        return redirect("operations:operation", id=operation.pk)
