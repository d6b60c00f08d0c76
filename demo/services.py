"""Load the demo: three tenants with people, a thousand leads each with a past, web forms and an import."""

import csv
import io
import json
import random
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.files.base import ContentFile
from django.utils import timezone

from crm.actors import Actor, Door
from crm.identity.models import Role, Team, TeamMember, User
from crm.identity.selectors import actor_for
from crm.identity.services.tenants import office_hours, set_up_tenant
from crm.operations import runner
from crm.savedviews.enums import Audience
from crm.savedviews.services import ViewSettings, save_view
from crm.tenancy.models import Tenant
from crm.tenancy.scope import act_as, current_tenant_id, tenant_scope
from customobjects.services.definitions import FieldSettings, save_definition
from demo import words
from demo.activities import make_activities
from demo.assignments import make_assignment_rules
from demo.dialer import make_dialer
from demo.pipeline import make_service_levels, make_stages
from duplicates.services.scanning import ask_for_scan, run_scan, scanned_by
from leads.enums import Platform, Priority, ProcessingStatus
from leads.models import Arrival, Lead, LeadShare, LeadStatus, WebForm
from leads.services.drafts import LeadDraft, lead_values, normalise
from leads.services.forms import FormSettings, save_form
from leads.services.imports import start_import
from leads.services.intake import capture_lead, remember_tags
from scoring.services import values_of
from webhooks.enums import SourceKind
from webhooks.models import Source
from webhooks.services.arrivals import accept_all
from webhooks.services.inbound import Delivery, receive_webhook
from webhooks.services.options import clean_options
from webhooks.services.sources import SourceSettings, save_mapping, save_source

LEADS = 1000
# So many people of each tenant are there twice.
DOUBLES = 14
_PATHS = (
    (("new",), 30),
    (("new", "qualified"), 18),
    (("new", "qualified", "contacted"), 14),
    (("new", "qualified", "contacted", "meeting_scheduled"), 9),
    (("new", "qualified", "contacted", "proposal_sent"), 7),
    (("new", "qualified", "contacted", "proposal_sent", "negotiation"), 5),
    (("new", "qualified", "contacted", "proposal_sent", "negotiation", "won"), 8),
    (("new", "lost"), 4),
    (("new", "qualified", "contacted", "lost"), 5),
)


def load_demo(*, now: datetime | None = None) -> int:
    """Make what is missing of the demo tenants; answers how many were made. A tenant that is there is left alone."""
    made = 0
    for name, display_name, zone in words.TENANTS:
        if not Tenant.objects.filter(name=name).exists():
            _load_tenant(name, display_name, zone, now=now or timezone.now())
            made += 1
    return made


def _load_tenant(name: str, display_name: str, zone: str, *, now: datetime) -> None:
    tenant = Tenant.objects.create(name=name, display_name=display_name, time_zone=zone, open_form=True, working_hours=office_hours())
    set_up_tenant(tenant)
    dice = random.Random(f"salesmagnet:{name}")  # noqa: S311 -- the same demo every time
    with tenant_scope(tenant.pk, by=Actor.system(tenant_id=tenant.pk, door=Door.COMMAND, label="demo")):
        people = _make_people(tenant)
        _make_fields()
        _make_leads(tenant, people, dice, now)
        form = save_form(
            form=None,
            wanted=FormSettings(name="Main website", tags=["web-form"], default_owner=None),
            by=Actor.system(tenant_id=tenant.pk, door=Door.COMMAND, label="demo"),
        )
        fair = _connect(tenant, people["manager"], form, dice)
    _make_posted(fair, now)
    _make_import(tenant, people["manager"])
    _make_views(tenant, people["manager"])
    _make_duplicates(tenant, people, dice)
    by = Actor.system(tenant_id=tenant.pk, door=Door.COMMAND, label="demo")
    with tenant_scope(tenant.pk, by=by):
        make_stages(tenant_id=tenant.pk)
        make_service_levels(now=now, dice=dice, by=by)
        make_assignment_rules(now=now, by=by)
        make_activities(now=now, dice=dice)
        make_dialer(now=now, dice=dice)


def _make_people(tenant: Tenant) -> dict[str, User]:
    roles = {role.code: role for role in Role.objects.all()}
    people = {}
    template = User(tenant=tenant)
    template.set_password(words.PASSWORD)
    for login, first, last, role in words.PEOPLE:
        people[login] = User.objects.create(
            tenant=tenant,
            username=f"{login}.{tenant.name}",
            email=f"{login}@{tenant.name}.example",
            password=template.password,
            first_name=first,
            last_name=last,
            role=roles[role],
        )
    team = Team.objects.create(name="Field sales", description="Everybody who calls on customers", manager=people["manager"])
    TeamMember.objects.bulk_create([TeamMember(team=team, user=people[login]) for login in ("manager", "rep", "rep2")])
    return people


def _pick(dice: random.Random, weighted: Any) -> Any:
    values, weights = zip(*weighted, strict=True)
    return dice.choices(values, weights)[0]


def _make_leads(tenant: Tenant, people: dict[str, User], dice: random.Random, now: datetime) -> None:
    statuses = {status.code: status for status in LeadStatus.objects.all()}
    owners = [people["rep"], people["rep"], people["rep2"], people["rep2"], people["manager"]]
    leads, pasts = [], []
    for number in range(LEADS):
        draft = _draft(number, dice)
        normalise(draft, region=tenant.region, strict=True)
        path = _pick(dice, _PATHS)
        age = timedelta(minutes=int(dice.triangular(30, 150 * 1440, 20 * 1440)))
        moments = _moments(dice, now - age, len(path), now)
        owner = dice.choice(owners) if len(path) > 1 or dice.random() < 0.55 else None
        touched = moments[-1] + timedelta(hours=dice.randint(0, 30)) if len(path) > 1 else None
        over = path[-1] in ("won", "lost")
        lead = Lead(
            **lead_values(draft),
            tenant=tenant,
            status=statuses[path[-1]],
            status_changed_at=moments[-1],
            lost_reason=dice.choice(words.LOST_REASONS) if path[-1] == "lost" else "",
            created_at=moments[0],
            created_via=Door.WEBHOOK if draft.platform_key != Platform.MANUAL else Door.PAGE,
            created_by=None if draft.platform_key != Platform.MANUAL else people["rep"],
        )
        lead.owner, lead.assigned_at = owner, moments[0] + timedelta(minutes=dice.randint(1, 90)) if owner else None
        lead.last_contact_at = min(touched, now) if touched else None
        if not over and dice.random() < 0.6:
            lead.next_follow_up_at = now + timedelta(hours=dice.randint(-72, 240))
        leads.append(lead)
        pasts.append((path, moments))
    for lead, values in zip(leads, values_of(leads), strict=True):
        for field, value in values.items():
            setattr(lead, field, value)
    Lead.objects.bulk_create(leads)
    remember_tags({tag for lead in leads for tag in lead.tags})
    _make_history(leads, pasts, statuses, people)
    binned = dice.sample(leads, 12)
    Lead.objects.filter(pk__in=[lead.pk for lead in binned]).update(deleted_at=now - timedelta(days=3))
    LeadShare.objects.bulk_create([LeadShare(lead=lead, user=people["rep"]) for lead in leads if lead.owner_id == people["rep2"].pk][:15])


def _draft(number: int, dice: random.Random) -> LeadDraft:
    first, last = dice.choice(words.FIRST_NAMES), dice.choice(words.LAST_NAMES)
    industry = dice.choice(list(words.COMPANY_TAILS))
    company = f"{dice.choice(words.COMPANY_HEADS)} {dice.choice(words.COMPANY_TAILS[industry])}"
    city, state, area = dice.choice(words.PLACES)
    source = _pick(dice, words.SOURCES)
    domain = company.lower().replace(" ", "") + ".example"
    plain = "".join(char for char in f"{first}.{last}".lower() if char.isascii() and (char.isalpha() or char == "."))
    platform = {"Website": Platform.WEBSITE, "Facebook": Platform.FACEBOOK, "Instagram": Platform.INSTAGRAM}.get(source, Platform.MANUAL)
    return LeadDraft(
        first_name=first,
        last_name=last,
        email=f"{plain}{number}@{domain}" if dice.random() < 0.94 else "",
        phone=f"+1{area}55501{dice.randint(0, 99):02d}" if dice.random() < 0.88 else "",
        company=company if dice.random() < 0.95 else "",
        title=dice.choice(words.TITLES) if dice.random() < 0.9 else "",
        industry=industry if dice.random() < 0.9 else "",
        company_size=_pick(dice, words.SIZES) if dice.random() < 0.85 else "",
        city=city,
        state=state,
        country="USA",
        notes=dice.choice(words.NOTES),
        lead_source=source,
        tags=dice.sample(words.TAGS, dice.choice((0, 0, 1, 1, 2, 3))),
        priority=Priority(_pick(dice, ((1, 20), (2, 50), (3, 22), (4, 8)))),
        platform_key=platform,
        custom_fields=_further(dice),
    )


def _further(dice: random.Random) -> dict[str, Any]:
    """What a lead holds in the demo's custom fields: some of them tell much, many little."""
    values: dict[str, Any] = {}
    if dice.random() < 0.55:
        values["budget"] = str(dice.choice(words.BUDGETS))
    if dice.random() < 0.7:
        values["product_interest"] = dice.sample(words.INTERESTS, dice.choice((1, 1, 2, 3)))
    if dice.random() < 0.35:
        values["renewal"] = (timezone.localdate() + timedelta(days=dice.randint(-30, 400))).isoformat()
    return values


def _make_fields() -> None:
    """The custom fields of leads that a tenant defines."""
    by = Actor.system(tenant_id=current_tenant_id(), door=Door.COMMAND, label="demo")
    for item in words.FIELDS:
        wanted = FieldSettings(**item)
        save_definition(definition=None, model="leads.Lead", wanted=wanted, by=by)


def _make_views(tenant: Tenant, manager: User) -> None:
    """Views of the list that the manager shares with everybody; the first stands in the sidebar."""
    with tenant_scope(tenant.pk):
        by = actor_for(manager, door=Door.PAGE)
        act_as(by)
        for position, (name, conditions, state) in enumerate(words.VIEWS):
            query = {"filter": json.dumps(conditions), **state}
            wanted = ViewSettings(name=name, query=query, audience=Audience.EVERYONE, is_pinned=position == 0, position=position)
            save_view(view=None, list_name="leads", wanted=wanted, by=by)


def _make_duplicates(tenant: Tenant, people: dict[str, User], dice: random.Random) -> None:
    """People who are there twice under other spellings, and what a look through all leads finds of them."""
    with tenant_scope(tenant.pk):
        by = actor_for(people["manager"], door=Door.PAGE)
        act_as(by)
        for lead in _to_double(dice):
            capture_lead(draft=_again(lead, dice), ignore_duplicates=True, enrich=False, by=by)
        scanner = scanned_by(tenant.pk)
        ask_for_scan(by=scanner)
    run_scan(tenant_id=tenant.pk, by=scanner)


def _to_double(dice: random.Random) -> list[Lead]:
    known = Lead.objects.live().filter(first_name__in=words.NICKNAMES, operation_id=None)
    told = list(known.exclude(email="").exclude(phone="").exclude(company="").order_by("pk"))
    return dice.sample(told, min(DOUBLES, len(told)))


def _again(lead: Lead, dice: random.Random) -> LeadDraft:
    """The same person as somebody else wrote them down: another spelling, an address of their own, the phone in another notation."""
    first = words.NICKNAMES[lead.first_name]
    private = "".join(char for char in f"{first}.{lead.last_name}".lower() if char.isascii() and (char.isalpha() or char == "."))
    area, rest = lead.phone[2:5], lead.phone[5:]
    return LeadDraft(
        first_name=first,
        last_name=dice.choice((lead.last_name, lead.last_name.upper())),
        email=dice.choice((lead.email, f"{private}@mail.example", "")),
        phone=f"({area}) {rest[:3]}-{rest[3:]}",
        company=dice.choice((lead.company, f"{lead.company} Inc.", lead.company.split()[0])),
        title=lead.title,
        city=lead.city,
        state=lead.state,
        country="USA",
        lead_source=dice.choice(("Trade Show", "Referral", "Website")),
        platform_key=Platform.MANUAL,
    )


def _moments(dice: random.Random, start: datetime, steps: int, now: datetime) -> list[datetime]:
    """When each status was entered: ever later, never in the future."""
    moments = [start]
    for _ in range(steps - 1):
        moments.append(
            min(moments[-1] + timedelta(minutes=int(dice.expovariate(1 / (3 * 1440)))), now - timedelta(minutes=dice.randint(2, 50)))
        )
    return [max(moment, start) for moment in moments]


def _make_history(leads: list[Lead], pasts: list[Any], statuses: dict[str, LeadStatus], people: dict[str, User]) -> None:
    """Write what the triggers would have written at the time: the old row of each step."""
    history: Any = apps.get_model("leads", "LeadHistory")
    columns = [field.attname for field in history._meta.concrete_fields if not field.name.startswith("pgh_")]
    rows = []
    for lead, (path, moments) in zip(leads, pasts, strict=True):
        actor = lead.owner or people["manager"]
        for step in range(len(path) - 1):
            old = {name: getattr(lead, name) for name in columns}
            old.update(status_id=statuses[path[step]].pk, status_changed_at=moments[step], lost_reason="")
            context = {"user": actor.pk, "actor": actor.full_name, "door": "page"}
            rows.append((moments[step + 1], history(**old, pgh_obj_id=lead.pk, pgh_label="changed", pgh_context=context)))
    rows.sort(key=lambda row: row[0])
    made = [row for _, row in rows]
    history.objects.bulk_create(made)
    # The creation time of a history row is set on insert; the past is put in afterwards.
    for (moment, _), row in zip(rows, made, strict=True):
        row.pgh_created_at = moment
    history.objects.bulk_update(made, ["pgh_created_at"], batch_size=500)


def _connect(tenant: Tenant, manager: User, form: WebForm, dice: random.Random) -> Source:
    """A Facebook page with what came in by it, a webhook and a mailbox. Answers the webhook."""
    by = Actor.system(tenant_id=tenant.pk, door=Door.COMMAND, label="demo")
    name = tenant.display_name
    page = save_source(
        kind=SourceKind.FACEBOOK,
        source=None,
        wanted=SourceSettings(name=f"{name} on Facebook", external_id=f"1040{tenant.pk:011d}", lead_source="Facebook", tags=["lead-ad"]),
        by=by,
    )
    fair = save_source(
        kind=SourceKind.WEBHOOK,
        source=None,
        wanted=SourceSettings(
            name="Trade fair scanner",
            options=clean_options("webhook", {"id_path": "ref", "channel": "api"}),
            lead_source="Trade Show",
            default_owner=manager,
        ),
        by=by,
    )
    save_source(
        kind=SourceKind.EMAIL,
        source=None,
        wanted=SourceSettings(name="Sales mailbox", external_id=f"sales@{tenant.name}.example", options=clean_options("email", {})),
        by=by,
    )
    for form_id, form_name, _campaign in words.LEAD_FORMS:
        answers = ["first_name", "last_name", "email", "phone"]
        save_mapping(
            source=page,
            form_id=form_id,
            form_name=form_name,
            rules=[{"field": name, "from": ["phone_number" if name == "phone" else name]} for name in answers],
            by=by,
        )
    save_mapping(source=fair, rules=words.EVENT_RULES, by=by)
    _make_arrivals(form, page, dice)
    _make_waiting(page)
    return fair


def _make_arrivals(form: WebForm, page: Source, dice: random.Random) -> None:
    """What the leads of the website and of Facebook came by."""
    arrivals = []
    # In the order of time, as they would have come.
    leads = Lead.objects.filter(platform_key__in=[Platform.WEBSITE, Platform.FACEBOOK, Platform.INSTAGRAM]).order_by("created_at", "pk")
    for lead in leads:
        source, medium, campaign = dice.choice(words.CAMPAIGNS)
        place = dice.choice(words.PAGES)
        answers = {"first_name": lead.first_name, "last_name": lead.last_name, "email": lead.email, "phone": lead.phone}
        if lead.platform_key == Platform.WEBSITE:
            came_by: dict[str, Any] = {
                "door": "website",
                "door_id": form.pk,
                "platform_key": Platform.WEBSITE,
                "source_lead_id": f"demo-{lead.pk}",
                "page_id": place,
                "form_id": str(form.pk),
                "page_url": f"https://www.{form.tenant.name}.example/{place}",
                "utm_source": source,
                "utm_medium": medium,
                "utm_campaign": campaign,
                "payload": {"page_id": place, "answers": answers},
            }
        else:
            came_by = _ad_of(lead, page, answers, dice.choice(words.LEAD_FORMS))
        arrivals.append(Arrival(lead=lead, created_time=lead.created_at, processing_status=ProcessingStatus.PROCESSED, **came_by))
    Arrival.objects.bulk_create(arrivals)
    for arrival in arrivals:
        assert arrival.lead is not None
        arrival.received_at = arrival.lead.created_at
    Arrival.objects.bulk_update(arrivals, ["received_at"], batch_size=500)


def _ad_of(lead: Lead, page: Source, answers: dict[str, str], form: tuple[str, str, str]) -> dict[str, Any]:
    """An arrival's fields as a lead ad fills them."""
    form_id, _name, campaign = form
    number = f"9200{lead.pk:011d}"
    named = {"phone_number" if name == "phone" else name: text for name, text in answers.items()}
    return {
        "door": "facebook",
        "door_id": page.pk,
        "platform_key": Platform.FACEBOOK,
        "source_lead_id": number,
        "page_id": page.external_id,
        "form_id": form_id,
        "campaign_id": campaign,
        "payload": {
            "leadgen": {"leadgen_id": number, "page_id": page.external_id, "form_id": form_id},
            "details": {
                "id": number,
                "platform": "ig" if lead.platform_key == Platform.INSTAGRAM else "fb",
                "field_data": [{"name": name, "values": [text]} for name, text in named.items() if text],
            },
        },
    }


def _make_waiting(page: Source) -> None:
    """Leads that Facebook has named and not yet told about: the demo's page has no access token."""
    form_id, _name, campaign = words.LEAD_FORMS[0]
    accept_all(
        [
            Arrival(
                tenant_id=page.tenant_id,
                door="facebook",
                door_id=page.pk,
                platform_key=Platform.FACEBOOK,
                source_lead_id=f"9300{page.tenant_id:05d}{number:06d}",
                page_id=page.external_id,
                form_id=form_id,
                campaign_id=campaign,
                payload={
                    "leadgen": {"leadgen_id": f"9300{page.tenant_id:05d}{number:06d}", "page_id": page.external_id, "form_id": form_id}
                },
            )
            for number in range(2)
        ]
    )


def _make_posted(fair: Source, now: datetime) -> None:
    """What the webhook was sent, through the service that takes it in: two leads, one known again, two that fail."""
    for minutes, payload in sorted(words.POSTED, key=lambda item: -item[0]):
        (receipt,) = receive_webhook(source=fair, delivery=Delivery(key="", body=b""), body=payload)
        at = now - timedelta(minutes=minutes)
        with tenant_scope(fair.tenant_id):
            Arrival.objects.filter(pk=receipt.arrival_id).update(received_at=at, created_time=at)


def _make_import(tenant: Tenant, manager: User) -> None:
    """One real import through the engine, with two rows that fail, so that the operations page has something to show."""
    dice = random.Random(f"import:{tenant.name}")  # noqa: S311 -- the same demo every time
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["First name", "Last name", "E-mail", "Phone", "Company", "Job title", "Lead source", "Tags"])
    for number in range(40):
        company = f"{dice.choice(words.COMPANY_HEADS)} {dice.choice(words.COMPANY_TAILS['Retail'])}"
        first, last = dice.choice(words.FIRST_NAMES), dice.choice(words.LAST_NAMES)
        email = "not-an-address" if number in (11, 29) else f"buyer{number}@{company.lower().replace(' ', '')}.example"
        phone = f"({dice.choice(words.PLACES)[2]}) 555-01{number:02d}"
        writer.writerow([first, last, email, phone, company, dice.choice(words.TITLES), "Trade Show", "autumn-fair"])
    with tenant_scope(tenant.pk):
        actor = actor_for(manager, door=Door.PAGE)
        operation = start_import(file=ContentFile(table.getvalue().encode(), name="autumn-fair.csv"), by=actor)
    runner.run(operation.pk)
