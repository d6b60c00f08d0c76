"""The queues one may work in, and how a session is started: on a queue, or on the leads of a saved view."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidInput
from crm.savedviews.selectors import views_of
from crm.web.pages import FormPage, Page
from dialer.enums import AgentKind, DialMode
from dialer.models import CallingAgent
from dialer.pages.shown import hours_now, tabs_of
from dialer.permissions import CALL, COACH, MANAGE
from dialer.selectors.desk import MOST_COUNTED, QueueNumbers, days_of, queue_numbers, session_of
from dialer.selectors.queues import agents_visible_to, agents_worked_by
from dialer.services.filling import start_fill
from dialer.services.sessions import start_session

LEADS = "leads"


class StartForm(forms.Form):
    """A session: on which queue, how, on whose line, and whether only on what a saved view shows."""

    agent = forms.ChoiceField(label=_("Queue"))
    mode = forms.ChoiceField(label=_("How calls start"), choices=[("", _("As the queue says")), *DialMode.choices], required=False)
    view = forms.ChoiceField(
        label=_("Leads"), required=False, help_text=_("Leads of a view are put into the queue first, if they are not there.")
    )
    own_phone = forms.CharField(
        label=_("Your own phone"),
        max_length=20,
        required=False,
        help_text=_(
            "Rings first, and calls are joined to it. Empty: each call is joined to the number in your profile. The simulator needs none."
        ),
    )

    def __init__(self, *args: Any, agents: list[CallingAgent], views: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["agent"].choices = [(str(agent.public_id), agent.name) for agent in agents]  # type: ignore[attr-defined]
        self.fields["view"].choices = [("", _("Everything in the queue")), *((str(view.pk), view.name) for view in views)]  # type: ignore[attr-defined]


class HomePage(FormPage):
    """What waits in each queue, and the form that starts a session."""

    template = "dialer/home.html"
    form_class = StartForm

    def form_arguments(self) -> dict[str, Any]:
        if not self.actor.can(COACH):
            self.actor.require(CALL)
        agents = list(agents_worked_by(self.actor)) if self.actor.can(CALL) else []
        chosen = self.request.GET.get("agent", "")
        return {
            "agents": agents,
            "views": views_of(self.actor, LEADS),
            "initial": {"agent": chosen, "view": self.request.GET.get("view", "")},
        }

    def context(self, form: forms.Form) -> dict[str, Any]:
        now = timezone.now()
        agents = list(agents_visible_to(self.actor))
        numbers = queue_numbers(agents, now)
        return {
            "form": form,
            "tabs": tabs_of(self.actor, "home"),
            "session": session_of(self.actor.user_id),
            "rows": [
                {"agent": agent, "numbers": numbers.get(agent.pk, QueueNumbers()), "hours": hours_now(agent, now)} for agent in agents
            ],
            "most": MOST_COUNTED,
            "can_call": self.actor.can(CALL) and bool(form.fields["agent"].choices),  # type: ignore[attr-defined]
            "can_manage": self.actor.can(MANAGE),
            "day": days_of([self.actor.user_id], now)[self.actor.user_id] if self.actor.user_id else None,
            "automated": AgentKind.AUTOMATED,
        }

    def save(self, form: forms.Form) -> HttpResponseBase:
        self.actor.require(CALL)
        data, now = form.cleaned_data, timezone.now()
        agent = next(agent for agent in agents_worked_by(self.actor) if str(agent.public_id) == data["agent"])
        batch = None
        if data["view"]:
            view = next((view for view in views_of(self.actor, LEADS) if str(view.pk) == data["view"]), None)
            if view is None:
                raise InvalidInput({"view": [str(_("No such view."))]})
            batch = start_fill(agent_id=agent.pk, query=urlencode(view.query, doseq=True), by=self.actor)
        start_session(
            agent_id=agent.pk, mode=data["mode"], batch_id=batch.pk if batch else None, own_phone=data["own_phone"], now=now, by=self.actor
        )
        return redirect("dialer:work")


class FillPage(Page):
    """Put the leads selected in a list into a queue."""

    capability = CALL
    template = "dialer/fill.html"

    def post(self, request: HttpRequest) -> HttpResponseBase:
        agents = list(agents_worked_by(self.actor))
        chosen = next((agent for agent in agents if str(agent.public_id) == request.POST.get("agent")), None)
        ids = [int(pk) for pk in request.POST.getlist("ids") if pk.isascii() and pk.isdigit()]
        whole, query = request.POST.get("all_matching") == "1", request.POST.get("query", "")
        if chosen is None:
            return self.show(
                {"agents": agents, "ids": ids, "all_matching": whole, "query": query, "number": len(ids), "home": reverse("dialer:home")}
            )
        operation = start_fill(agent_id=chosen.pk, query=query, ids=ids, all_matching=whole, by=self.actor)
        messages.success(request, _("The leads are being put into the queue %(name)s.") % {"name": chosen.name})
        return redirect("operations:operation", operation.pk)
