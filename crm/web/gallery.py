"""The developers' page at /ui/: every component in all its states, and three sample pages that fix the markup of real ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from crm.web.templatetags.ui import grade

PAGES = {
    "": "web/gallery.html",
    "leads": "web/gallery_leads.html",
    "lead": "web/gallery_lead.html",
    "settings": "web/gallery_settings.html",
    "peek": "web/gallery_peek.html",
    "edit": "web/gallery_edit.html",
}

STATUSES = [
    ("new", "New"), ("contacted", "Contacted"), ("qualified", "Qualified"), ("meeting_scheduled", "Meeting scheduled"),
    ("proposal_sent", "Proposal sent"), ("negotiation", "Negotiation"), ("won", "Won"), ("lost", "Lost"),
]  # fmt: skip
OWNERS = [(11, "Priya Raman"), (12, "Jonas Weber"), (13, "Amara Okafor"), (14, "Luca Moretti")]

# name, company, status, score, phone, owner, hours to the next follow-up, hours since the last activity, tags
LEADS = [
    ("Marta Kowalczyk", "Northwind Logistics", "qualified", 92, "+48 22 307 11 94", 0, -26, 3, ("Enterprise",)),
    ("Daniel Osei", "Kumasi Solar", "new", 74, "+233 30 274 0110", 1, 2, 0.2, ("Webinar",)),
    ("Sofia Lindqvist", "Fjällräven Retail AB", "meeting_scheduled", 88, "+46 8 555 019 20", 0, 5, 20, ("Retail",)),
    ("Rahul Mehta", "Zenith Components Pvt Ltd", "contacted", 61, "+91 22 4890 7712", 2, 49, 30, ()),
    ("Claire Dubois", "Atelier Rivoli", "proposal_sent", 81, "+33 1 84 88 31 02", 3, 73, 52, ("Design", "EU")),
    ("Thomas Becker", "Becker Präzisionstechnik GmbH & Co. KG", "negotiation", 95, "+49 711 9988 140", 1, 26, 8, ("Enterprise",)),
    ("Grace Njoroge", "Savanna Foods", "new", 47, "+254 20 765 4321", None, None, 0.7, ()),
    ("Hiroshi Tanaka", "Tanaka Robotics", "qualified", 79, "+81 3 6738 5501", 2, -3, 71, ("Partner",)),
    ("Isabel Romero", "Clínica Aurora", "contacted", 55, "+34 91 901 22 40", 3, 120, 96, ()),
    ("Ethan Walker", "Walker & Sons Roofing", "lost", 28, "+1 512 555 0143", 0, None, 340, ()),
    ("Mei Chen", "Harbour Freight Systems", "won", 97, "+65 6808 4471", 1, 336, 26, ("Enterprise", "Renewal")),
    ("Oluwaseun Adeyemi", "Lagos Fintech Hub", "new", 68, "+234 1 888 0204", 2, 1, 0.1, ("Inbound",)),
    ("Anna Nowak", "Mleczarnia Podlasie", "contacted", None, "+48 85 674 22 18", 0, 30, 44, ()),
    ("Peter van Dijk", "Oranje Watertech", "qualified", 71, "+31 20 808 1175", 3, 96, 15, ("Water",)),
    ("Fatima Al-Sayed", "Gulf Medical Supplies", "meeting_scheduled", 84, "+971 4 512 8890", 1, 22, 5, ("Health",)),
    ("James O'Connor", "Shannon Aero Parts", "proposal_sent", 77, "+353 61 530 221", 2, -50, 120, ()),
    ("Beatriz Carvalho", "Café do Porto", "new", 39, "+351 22 145 9080", None, None, 2, ("Inbound",)),
    ("Viktor Petrov", "Danube Steel", "contacted", 52, "+359 2 492 0117", 0, 170, 200, ()),
]


class SampleForm(forms.Form):
    name = forms.CharField(
        label="Workspace name", initial="Northwind Sales", help_text="Shown in e-mails to your leads and at the top of every page."
    )
    domain = forms.CharField(label="Website", required=False, initial="northwind.example")
    timezone = forms.ChoiceField(label="Time zone", choices=[("Europe/Warsaw", "Europe/Warsaw (UTC+1)"), ("UTC", "UTC")])
    currency = forms.ChoiceField(
        label="Currency", choices=[("EUR", "Euro (EUR)"), ("USD", "US dollar (USD)"), ("INR", "Indian rupee (INR)")]
    )
    sender = forms.EmailField(label="Sender address", initial="sales@northwind", help_text="Replies reach the owner of the lead.")
    response_hours = forms.IntegerField(
        label="First answer within",
        min_value=1,
        initial=4,
        help_text="Working hours. A lead without an answer after that counts as breached.",
    )
    routing = forms.ChoiceField(
        label="New leads go to", widget=forms.RadioSelect, initial="rules",
        choices=[("rules", "The assignment rules, in order"), ("round", "Everyone in turn, by free capacity"), ("none", "Nobody, until someone takes them")],
    )  # fmt: skip
    notify = forms.BooleanField(
        label="Tell the owner by e-mail",
        required=False,
        initial=True,
        help_text="At once for new leads; follow-ups come as one morning digest.",
    )
    signature = forms.CharField(
        label="Signature", required=False, widget=forms.Textarea(attrs={"rows": 3}), initial="Kind regards\nNorthwind Sales"
    )


def gallery(request: HttpRequest) -> HttpResponse:
    """Show the components, or the sample page named in `?page=`."""
    page = request.GET.get("page", "")
    if page not in PAGES:
        raise Http404
    broken = SampleForm({"name": "", "sender": "sales@", "routing": "rules", "timezone": "UTC", "currency": "EUR", "response_hours": "0"})
    broken.is_valid()
    for form in (broken, clean := SampleForm(auto_id="clean_%s")):
        form.fields["notify"].widget.attrs["role"] = "switch"
    now = timezone.now()
    leads = _leads(now)
    context = {
        "shell": _shell(page), "leads": leads, "lead": leads[0], "statuses": STATUSES, "hues": range(12), "form": clean, "broken_form": broken,
        "icons": ["house", "users", "square-kanban", "contact", "building-2", "handshake", "activity", "calendar", "phone", "chart-line", "layout-dashboard", "settings"],
        "views": _views(), "stages": _stages(), "now": now, "earlier": now - dt.timedelta(minutes=5), "columns": _columns(leads),
        "yesterday": now - dt.timedelta(days=1, hours=3), "last_week": now - dt.timedelta(days=8), "tomorrow": now + dt.timedelta(hours=26),
        "score_parts": [("Contact details", 23, 25), ("Company", 20, 20), ("Source", 12, 15), ("Engagement", 21, 25), ("Priority and status", 7, 10), ("Tags and place", 9, 10)],
    }  # fmt: skip
    return TemplateResponse(request, PAGES[page], context)


def _leads(now: dt.datetime) -> list[dict[str, Any]]:
    labels = dict(STATUSES)
    rows = []
    for pk, (name, company, status, score, phone, owner, due, seen, tags) in enumerate(LEADS, start=1201):
        rows.append({
            "id": pk, "name": name, "company": company, "status": status, "status_label": labels[status], "score": score, "grade": grade(score),
            "phone": phone, "owner_id": OWNERS[owner][0] if owner is not None else None, "owner": OWNERS[owner][1] if owner is not None else "",
            "next_follow_up": now + dt.timedelta(hours=due) if due is not None else None, "last_activity": now - dt.timedelta(hours=seen), "tags": tags,
            "url": "/ui/?page=lead",
        })  # fmt: skip
    return rows


def _columns(leads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts = {"new": ("1,204", "€412K"), "contacted": ("862", "€1.1M"), "qualified": ("431", "€2.4M"), "negotiation": ("58", "€940K")}
    amounts = {"new": "€12,000", "contacted": "€8,400", "qualified": "€46,500", "negotiation": "€120,000"}
    return [
        {"key": key, "label": label, "count": counts[key][0], "sum": counts[key][1], "amount": amounts[key], "leads": [lead for lead in leads if lead["status"] == key]}
        for key, label in STATUSES if key in counts
    ]  # fmt: skip


def _views() -> list[dict[str, Any]]:
    rows = [
        ("All leads", 12431, "", False),
        ("My open leads", 86, "", True),
        ("Overdue", 14, "", False),
        ("Fresh today", 37, "", False),
        ("Enterprise, DACH", 212, "users", False),
    ]
    return [
        {"label": label, "count": count, "icon": icon, "active": active, "changed": active, "url": "/ui/?page=leads"}
        for label, count, icon, active in rows
    ]


def _stages() -> list[dict[str, str]]:
    spent = {"new": "4h", "contacted": "2d", "qualified": "6d"}
    state = {"new": "is-done", "contacted": "is-done", "qualified": "is-current"}
    return [{"key": key, "label": label, "spent": spent.get(key, ""), "state": state.get(key, "")} for key, label in STATUSES[:6]]


def _shell(page: str) -> dict[str, Any]:
    nav = [
        ("Today", "house", "g t", 9), ("Leads", "users", "g l", 0), ("Pipeline", "square-kanban", "g p", 0), ("Contacts", "contact", "g c", 0),
        ("Accounts", "building-2", "g a", 0), ("Deals", "handshake", "g d", 0), ("Activities", "activity", "g v", 0), ("Calendar", "calendar", "g k", 0),
        ("Dialer", "phone", "g i", 0), ("Reports", "chart-line", "g r", 0), ("Dashboards", "layout-dashboard", "g b", 0),
    ]  # fmt: skip
    links = {"Leads": "/ui/?page=leads"}
    return {
        "tenant": {"name": "Northwind Sales"}, "user": {"name": "Priya Raman", "email": "priya@northwind.example"},
        "nav": [{"label": label, "icon": icon, "key": key, "badge": badge, "loud": bool(badge), "url": links.get(label, "/ui/"), "active": label == "Leads" and page in ("leads", "lead")} for label, icon, key, badge in nav],
        "pinned": [{"label": "Enterprise, DACH", "url": "/ui/?page=leads", "count": 212}, {"label": "Q4 renewals", "url": "/ui/?page=leads", "count": 41}],
        "notifications": {"url": "/ui/", "unread": 3},
        "account": [{"label": "Profile", "icon": "user", "url": "/ui/?page=settings"}, {"label": "Sessions", "icon": "monitor-smartphone", "url": "/ui/"}],
        "settings_url": "/ui/?page=settings", "settings_active": page == "settings", "help_url": "/ui/", "sign_out_url": "/ui/", "search_url": "/ui/", "palette_url": "/search/palette",
    }  # fmt: skip
