"""Agents with their hours and rules, who may not be called, and who places the calls."""

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidInput
from crm.identity.models import User
from crm.identity.pages.hours import in_words
from crm.identity.pages.own import time_zones
from crm.identity.pages.week import DAYS, WeekForm
from crm.normal import e164, international
from crm.tenancy.models import current_tenant
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from dialer.enums import RETRYABLE, CallResult, DialMode, Disposition
from dialer.errors import InvalidPhone, NoSuchAgent
from dialer.models import CallingAgent, DoNotCall
from dialer.permissions import CONFIGURE, MANAGE
from dialer.selectors.desk import QueueNumbers, queue_numbers
from dialer.services.agents import delete_agent, save_agent
from dialer.services.do_not_call import add_number, remove_number
from dialer.services.imports import start_dnc_import
from dialer.services.settings import save_settings, settings_now

_SETTINGS = (
    "provider", "account_sid", "caller_id", "window_start", "window_end", "window_days", "most_calls_a_day", "most_abandoned", "record_calls",
    "keep_recordings_days",
)  # fmt: skip
_AGENT = (
    "name", "kind", "is_active", "time_zone", "keeps_tenant_holidays", "max_attempts", "retry_delay_minutes", "most_calls", "caller_id", "mode",
    "lines", "ring_seconds", "countdown_seconds", "detect_machines", "script",
)  # fmt: skip
DNC_ROWS = 100


class TimeInput(forms.TimeInput):
    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class DialerSettingsForm(forms.Form):
    provider = forms.ChoiceField(label=_("Calls are placed by"))
    account_sid = forms.CharField(label=_("Account SID"), required=False, max_length=64)
    auth_token = forms.CharField(
        label=_("Auth token"), required=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Kept sealed and never shown. Empty leaves the one that is there."),
    )  # fmt: skip
    caller_id = forms.CharField(label=_("Caller id"), required=False, max_length=20, help_text=_("For agents that have none of their own."))
    window_start = forms.TimeField(label=_("Not before"), widget=TimeInput())
    window_end = forms.TimeField(label=_("Not after"), widget=TimeInput())
    window_days = forms.TypedMultipleChoiceField(
        label=_("Days"), coerce=int, choices=list(enumerate(DAYS)), required=False, widget=forms.CheckboxSelectMultiple(),
        help_text=_("None chosen: every day."),
    )  # fmt: skip
    most_calls_a_day = forms.IntegerField(label=_("Calls to one number a day, at most"), min_value=1, max_value=100)
    most_abandoned = forms.DecimalField(
        label=_("Abandoned calls, at most (%)"), max_digits=4, decimal_places=1,
        help_text=_("Of the calls that people answered in the last 30 days. Above it, a power dialer rings one line at a time."),
    )  # fmt: skip
    record_calls = forms.BooleanField(label=_("Record calls"), required=False, widget=forms.CheckboxInput(attrs={"role": "switch"}))
    keep_recordings_days = forms.IntegerField(label=_("Keep recordings, days"), min_value=1, max_value=3650)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = settings_now()
        self.fields["provider"].choices = now._meta.get_field("provider").choices  # type: ignore[attr-defined, union-attr]
        self.initial = {name: getattr(now, name) for name in _SETTINGS}


class DialerSettingsPage(SettingsFormPage):
    """Who places the calls, and when anybody may be called."""

    capability = CONFIGURE
    template = "dialer/settings.html"
    form_class = DialerSettingsForm
    success_message = _("Saved.")

    def save(self, form: forms.Form) -> HttpResponseBase:
        values = dict(form.cleaned_data)
        values["caller_id"] = _number(values["caller_id"], field="caller_id")
        save_settings(values=values, by=self.actor)
        return redirect("dialer:settings")


class AgentsPage(SettingsFrame):
    capability = MANAGE
    template = "dialer/agents.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        agents = list(CallingAgent.objects.filter(deleted_at=None).prefetch_related("members__user"))
        numbers = queue_numbers(agents, timezone.now())
        rows = [{"agent": agent, "hours": _hours_said(agent), "numbers": numbers.get(agent.pk, QueueNumbers())} for agent in agents]
        return self.show({"rows": rows, "can_configure": self.actor.can(CONFIGURE)})


def _hours_said(agent: CallingAgent) -> str:
    """Hours in a line, as they are; several spans a day are many."""
    if not agent.business_hours:
        return str(_("The company's"))
    spans = {day: pairs[0] for day, pairs in agent.business_hours.items() if len(pairs) == 1}
    return in_words(spans) if len(spans) == len(agent.business_hours) else str(_("Several spans a day"))


class AgentForm(WeekForm):
    """An agent with its hours, its people and what follows each result."""

    own = forms.BooleanField(label=_("Hours of its own"), required=False, widget=forms.CheckboxInput(attrs={"role": "switch"}))
    holidays = forms.CharField(
        label=_("Its own holidays"), required=False, max_length=8000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Days on which it does not call, such as 2026-12-24, one a line."),
    )  # fmt: skip
    script = forms.CharField(
        label=_("Script"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("{first_name}, {company}, {me} and other fields are filled in. People read it, an automated agent says it."),
    )  # fmt: skip

    def __init__(self, *args: Any, agent: CallingAgent | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = CallingAgent._meta
        shown = agent or CallingAgent()
        for name in _AGENT:
            if name not in self.fields:
                self.fields[name] = model.get_field(name).formfield()  # type: ignore[union-attr, assignment]
        self.fields["time_zone"] = forms.ChoiceField(
            label=_("Time zone"),
            required=False,
            choices=[
                ("", _("The company's (%s)") % current_tenant().time_zone),
                *((name, name.replace("_", " ")) for name in time_zones()),
            ],
        )
        self.fields["members"] = forms.ModelMultipleChoiceField(
            label=_("Who calls"),
            queryset=User.objects.filter(is_active=True).order_by("first_name", "last_name", "pk"),
            required=False,
            widget=forms.CheckboxSelectMultiple(),
            help_text=_("Nobody chosen: everybody who may call."),
        )
        self.initial = {name: getattr(shown, name) for name in _AGENT} | {
            "own": bool(shown.business_hours),
            "holidays": "\n".join(day.isoformat() for day in shown.holidays),
            "members": [member.user_id for member in agent.members.all()] if agent else [],
        }
        # One span a day can be shown here; more stay as the API set them.
        self.several = any(len(pairs) > 1 for pairs in shown.business_hours.values())
        own = {day: [end.replace("24:00", "23:59") for end in pairs[0]] for day, pairs in shown.business_hours.items() if pairs}
        self.add_week(own or current_tenant().working_hours or {})
        self._add_rules({rule.result: rule for rule in agent.retry_rules.all()} if agent else {})

    def _add_rules(self, rules: Mapping[str, Any]) -> None:
        for result in RETRYABLE:
            rule = rules.get(result)
            name = result.label
            self.fields[f"own_{result}"] = forms.BooleanField(label=name, required=False, initial=rule is not None)
            self.fields[f"delay_{result}"] = forms.IntegerField(
                label=_("%s: minutes until the next") % name,
                min_value=0,
                max_value=129_600,
                required=False,
                initial=rule.delay_minutes if rule else 60,
            )
            self.fields[f"tries_{result}"] = forms.IntegerField(
                label=_("%s: times, at most") % name, min_value=0, max_value=50, required=False, initial=rule.most_tries if rule else 3
            )
            self.fields[f"hour_{result}"] = forms.BooleanField(
                label=_("another time of day"), required=False, initial=bool(rule and rule.another_hour)
            )
            self.fields[f"close_{result}"] = forms.ChoiceField(
                label=_("%s: then close as") % name,
                choices=Disposition.choices,
                required=False,
                initial=rule.disposition if rule else _usual(result),
            )

    def rule_rows(self) -> list[dict[str, Any]]:
        """The fields of what follows each result."""
        return [{part: self[f"{part}_{result}"] for part in ("own", "delay", "tries", "hour", "close")} for result in RETRYABLE]

    def rules(self) -> list[dict[str, Any]]:
        data = self.cleaned_data
        return [
            {
                "result": result.value,
                "delay_minutes": data[f"delay_{result}"] if data[f"delay_{result}"] is not None else 60,
                "most_tries": data[f"tries_{result}"] if data[f"tries_{result}"] is not None else 3,
                "another_hour": data[f"hour_{result}"],
                "disposition": data[f"close_{result}"] or _usual(result),
            }
            for result in RETRYABLE
            if data[f"own_{result}"]
        ]

    def clean_holidays(self) -> list[date]:
        days = []
        for text in self.cleaned_data["holidays"].split():
            try:
                days.append(date.fromisoformat(text))
            except ValueError:
                raise forms.ValidationError(_("%(text)s is no day, such as 2026-12-24."), params={"text": text[:30]}) from None
        return days


def _usual(result: CallResult) -> str:
    usual = {
        CallResult.WRONG_NUMBER: Disposition.WRONG_NUMBER,
        CallResult.FAILED: Disposition.FAILED,
        CallResult.HUNG_UP: Disposition.HUNG_UP,
    }
    return usual.get(result, Disposition.NO_ANSWER).value


class AgentPage(SettingsFormPage):
    """One agent, or a new one."""

    capability = MANAGE
    template = "dialer/agent.html"
    form_class = AgentForm
    success_message = _("Saved.")

    def agent(self) -> CallingAgent | None:
        return _agent(self.kwargs["agent"]) if "agent" in self.kwargs else None

    def form_arguments(self) -> dict[str, Any]:
        return {"agent": self.agent()}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "agent": self.agent(), "power": DialMode.POWER}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, AgentForm)
        agent, data = self.agent(), form.cleaned_data
        values = {name: data[name] for name in _AGENT}
        values |= {"holidays": data["holidays"], "members": [user.pk for user in data["members"]], "retry_rules": form.rules()}
        values["caller_id"] = _number(data["caller_id"], field="caller_id")
        if not form.several:
            values["business_hours"] = form.hours() if data["own"] else {}
        save_agent(agent_id=agent.pk if agent else None, values=values, by=self.actor)
        return redirect("dialer:agents")


class AgentDeletePage(SettingsFrame):
    capability = MANAGE
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, agent: UUID) -> HttpResponseBase:
        found = _agent(agent)
        delete_agent(agent_id=found.pk, by=self.actor)
        messages.success(request, _("%(name)s calls no more.") % {"name": found.name})
        return redirect("dialer:agents")


def agent_choice() -> forms.ChoiceField:
    """For whom a number is not called: nobody at all, or one agent."""

    def choices() -> list[tuple[str, Any]]:
        agents = CallingAgent.objects.filter(deleted_at=None).values_list("public_id", "name")
        return [("", _("Everybody")), *((str(public_id), name) for public_id, name in agents)]

    return forms.ChoiceField(label=_("For"), choices=choices, required=False)


class DoNotCallForm(forms.Form):
    phone = forms.CharField(label=_("Phone"), max_length=40)
    agent = agent_choice()
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(label=_("Reason"), required=False, max_length=200)


class DoNotCallPage(SettingsFormPage):
    """Who must not be called. A number may be looked for; the newest stand first."""

    capability = MANAGE
    template = "dialer/do_not_call.html"
    form_class = DoNotCallForm
    success_message = _("The number is not called any more.")

    def context(self, form: forms.Form) -> dict[str, Any]:
        asked = self.request.GET.get("phone", "").strip()[:40]
        found = DoNotCall.objects.select_related("agent", "created_by")
        cursor = self.request.GET.get("before", "")
        if asked:
            found = found.filter(phone=e164(asked, region=current_tenant().region) or asked)
        if cursor.isascii() and cursor.isdigit() and len(cursor) < 19:
            found = found.filter(pk__lt=int(cursor))
        rows = list(found.order_by("-pk")[: DNC_ROWS + 1])
        more = f"?before={rows[DNC_ROWS - 1].pk}" if len(rows) > DNC_ROWS else ""
        today = timezone.localdate()
        shown = [
            {"row": row, "phone": international(row.phone), "is_over": row.until is not None and row.until < today}
            for row in rows[:DNC_ROWS]
        ]
        return {"form": form, "rows": shown, "asked": asked, "more_url": more}

    def save(self, form: forms.Form) -> HttpResponseBase:
        data = form.cleaned_data
        phone = _number(data["phone"], field="phone")
        agent = _agent(UUID(data["agent"])) if data["agent"] else None
        add_number(
            phone=phone, agent_id=agent.pk if agent else None, until=data["until"], reason=data["reason"], now=timezone.now(), by=self.actor
        )
        return redirect("dialer:do-not-call")


class DoNotCallImportForm(forms.Form):
    file = forms.FileField(label=_("File"))
    agent = agent_choice()


class DoNotCallImportPage(SettingsFormPage):
    capability = MANAGE
    template = "dialer/do_not_call_import.html"
    form_class = DoNotCallImportForm

    def save(self, form: forms.Form) -> HttpResponseBase:
        chosen = form.cleaned_data["agent"]
        operation = start_dnc_import(file=form.cleaned_data["file"], agent=_agent(UUID(chosen)) if chosen else None, by=self.actor)
        return redirect("operations:operation", operation.pk)


class DoNotCallRemovePage(SettingsFrame):
    capability = MANAGE
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        remove_number(pk=pk, by=self.actor)
        messages.success(request, _("The number may be called again."))
        return redirect("dialer:do-not-call")


def _agent(public_id: UUID) -> CallingAgent:
    agent = CallingAgent.objects.filter(public_id=public_id, deleted_at=None).first()
    if agent is None:
        raise NoSuchAgent
    return agent


def _number(text: str, *, field: str) -> str:
    """A number in E.164, as the company's country writes it. Raises InvalidInput."""
    if not text.strip():
        return ""
    number = e164(text, region=current_tenant().region)
    if number is None:
        raise InvalidInput({field: [InvalidPhone().message]})
    return number
