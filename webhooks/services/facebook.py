"""Facebook's lead forms (S1-52, S1-53), Instagram's too: take its deliveries in, ask for the leads they name, read them.

A delivery only names leads. All it names is stored before it is answered, without asking anybody else; workers fetch each
lead from the Graph API afterwards. The arrival's channel is always Facebook, which sends and numbers the leads of both; the
lead's channel is where the form was filled in.
"""

import hashlib
import hmac
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone
from prometheus_client import Counter

from crm.actors import Actor, Door
from crm.errors import Forbidden
from crm.normal import clean_text
from crm.rest.parsers import JSONParser
from crm.sealed import Unreadable, unseal
from crm.tenancy.scope import tenant_scope
from leads.enums import Platform
from leads.models import Arrival
from leads.services.drafts import LeadDraft
from webhooks.enums import SourceKind
from webhooks.models import Source, SourceKey
from webhooks.services.arrivals import CannotRead, accept_all
from webhooks.services.graph import TOKEN_PAUSE, Graph, TokenRefused
from webhooks.services.mapping import apply_rules, draft_from, read_rules, suggest, text_of
from webhooks.services.sources import mapping_for
from webhooks.services.website import storable

log = structlog.get_logger(__name__)
passed_over = Counter("facebook_leads_passed_over", "Leads Facebook named that no tenant got, by reason", ["reason"])
DOOR = SourceKind.FACEBOOK.value
KEY = "facebook:"
LONGEST_CHALLENGE = 1000
_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
# Facebook's lead forms began later; nothing is from before, nor from tomorrow.
_EARLIEST = datetime.fromisoformat("2004-01-01T00:00:00+00:00")
_LONGEST_ANSWER, _MOST_ANSWERS = 5_000, 200
# Of what the lead came by, what rules may name beside the form's own answers.
_BESIDE = ("ad_name", "campaign_name")


# --- the door ---


def confirm_subscription(*, mode: str, token: str, challenge: str) -> str:
    """What Facebook's check of the address is answered: its own challenge. Refused with any other token than ours, or if we have none."""
    expected = settings.FB_VERIFY_TOKEN
    known = hmac.compare_digest(token.encode(), expected.encode()) and expected != ""
    if mode != "subscribe" or not known or not 0 < len(challenge) <= LONGEST_CHALLENGE:
        raise Forbidden("The verify token is not the one set up here.")
    return challenge


def receive_delivery(*, body: bytes, signature: str) -> None:
    """Store all leads a delivery names, each once, for the tenants of their pages.

    Refused unless Facebook signed these very bytes. What is malformed or nobody's is logged, counted and passed over: refused, it
    would come again for a day and in the end stop all deliveries.
    """
    _check_signature(body, signature)
    delivery = JSONParser().parse(io.BytesIO(body))
    by_page: dict[str, list[Arrival]] = {}
    for arrival in _leads_named(delivery):
        by_page.setdefault(arrival.page_id, []).append(arrival)
    if not by_page:
        return
    keys = {f"{KEY}{page}": page for page in by_page}
    found = SourceKey.objects.filter(key__in=list(keys), tenant__is_active=True).values_list("key", "tenant_id", "source_id")
    by_tenant: dict[int, dict[int, list[Arrival]]] = {}
    for key, tenant_id, source_id in found:
        by_tenant.setdefault(tenant_id, {})[source_id] = by_page.pop(keys[key])
    for page, arrivals in by_page.items():
        _pass_over("unknown_page", leads=len(arrivals), page=page)
    _store(by_tenant)


def _check_signature(body: bytes, header: str) -> None:
    secret = settings.FB_APP_SECRET
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(header.encode(), expected.encode()) or not secret:
        raise Forbidden("The signature does not fit.")


def _store(by_tenant: Mapping[int, Mapping[int, list[Arrival]]]) -> None:
    """Each tenant's in a transaction of its own. One that cannot be stored makes Facebook send all again, the others' stay stored."""
    trouble: Exception | None = None
    for tenant_id, by_source in by_tenant.items():
        try:
            with tenant_scope(tenant_id, by=Actor.system(tenant_id=tenant_id, door=Door.WEBHOOK, label=DOOR)):
                _store_for_tenant(by_source)
        except Exception as error:
            log.exception("facebook_delivery_not_stored", tenant=tenant_id)
            trouble = error
    if trouble is not None:
        raise trouble


def _store_for_tenant(by_source: Mapping[int, list[Arrival]]) -> None:
    active = set(Source.objects.filter(pk__in=list(by_source), kind=SourceKind.FACEBOOK, is_active=True).values_list("pk", flat=True))
    taken: list[Arrival] = []
    for source_id, arrivals in by_source.items():
        if source_id not in active:
            _pass_over("source_off", leads=len(arrivals), page=arrivals[0].page_id)
            continue
        for arrival in arrivals:
            arrival.door_id = source_id
        taken += arrivals
    accept_all(taken)


def _pass_over(reason: str, *, leads: int = 1, **facts: object) -> None:
    passed_over.labels(reason).inc(leads)
    log.warning("facebook_leads_passed_over", reason=reason, leads=leads, **facts)


def _leads_named(delivery: Any) -> Iterator[Arrival]:
    if not isinstance(delivery, dict) or delivery.get("object") != "page":
        return
    for entry in _dicts(delivery.get("entry"), of="entry"):
        for change in _dicts(entry.get("changes", []), of="changes"):
            if change.get("field") != "leadgen":
                continue
            arrival = _named_by(change.get("value"), entry)
            if arrival is None:
                _pass_over("malformed", entry=id_of(entry.get("id")))
            else:
                yield arrival


def _dicts(value: Any, *, of: str) -> Iterable[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, dict):
            yield item
        else:
            _pass_over("malformed", at=of)


def _named_by(value: Any, entry: Mapping[str, Any]) -> Arrival | None:
    """The arrival of a change; None where it does not say which lead, or is at odds with itself about whose."""
    if not isinstance(value, dict):
        return None
    lead, pages = id_of(value.get("leadgen_id")), {id_of(source.get(name)) for source, name in ((value, "page_id"), (entry, "id"))}
    pages.discard("")
    if not lead or len(pages) != 1:
        return None
    return arrival_of(value, page_id=pages.pop(), payload={"leadgen": value, "entry": {"id": entry.get("id"), "time": entry.get("time")}})


def arrival_of(facts: Mapping[str, Any], *, page_id: str, payload: dict[str, Any], door_id: int | None = None) -> Arrival:
    """An arrival that is not stored yet. `facts` bear Facebook's names of ids and times."""
    return Arrival(
        door=DOOR,
        door_id=door_id,
        platform_key=Platform.FACEBOOK,
        source_lead_id=id_of(facts.get("leadgen_id")),
        page_id=page_id,
        form_id=id_of(facts.get("form_id")),
        ad_id=id_of(facts.get("ad_id")),
        campaign_id=id_of(facts.get("campaign_id")),
        created_time=instant_of(facts.get("created_time")),
        payload=storable(payload),
    )


# --- the lead itself ---


def graph_of(source: Source) -> Graph:
    """The Graph API with the page's token, or else the install's, which serves the tenants it is meant for and no other."""
    shared = settings.FB_PAGE_ACCESS_TOKEN if source.tenant_id in settings.FB_PAGE_ACCESS_TOKEN_TENANTS else ""
    try:
        return Graph(token=unseal(source.token) or shared)
    except Unreadable as error:
        raise TokenRefused(str(error), after=TOKEN_PAUSE) from None


def fetch_lead(arrival: Arrival, source: Source | None) -> dict[str, object]:
    """Ask Facebook for the answers. Trouble with the token is noted on the source, where people see it, until a lead is had again."""
    if source is None:
        raise CannotRead("The page is no longer connected.")
    try:
        details = graph_of(source).lead(arrival.source_lead_id)
    except TokenRefused as refusal:
        note_trouble(source, str(refusal))
        raise
    if source.last_error:
        note_trouble(source, "")
    return storable(details)  # type: ignore[no-any-return]


def note_trouble(source: Source, message: str) -> None:
    """Write on a source what keeps it from giving leads; empty: nothing any more."""
    with tenant_scope(source.tenant_id):
        Source.objects.filter(pk=source.pk).update(last_error=message[:500], last_error_at=timezone.now() if message else None)


def leaves_of_lead(arrival: Arrival) -> dict[str, str]:
    """What rules may name: the form's answers, and the names of ad and campaign."""
    details = _details(arrival)
    return {name: text_of(details[name]) for name in _BESIDE if details.get(name)} | _answers(details)


def draft_of_lead(arrival: Arrival, source: Source | None) -> LeadDraft:
    """Read the answers by the form's mapping, or by their usual names. What no rule uses becomes a further field."""
    details, leaves = _details(arrival), leaves_of_lead(arrival)
    answers = _answers(details)
    mapping = mapping_for(source, arrival.form_id or id_of(details.get("form_id"))) if source else None
    rules = read_rules(mapping.rules) if mapping else suggest(answers)
    used = {path for rule in rules for path in rule.paths}
    mapped = apply_rules({name: text for name, text in leaves.items() if name in used}, rules)
    # A question's name may hold dots, so it is no path.
    for name, text in answers.items():
        if name not in used and text.strip():
            mapped.custom.setdefault(clean_text(name)[:100], text[:_LONGEST_ANSWER])
    platform = Platform.INSTAGRAM if details.get("platform") == "ig" else Platform.FACEBOOK
    created = instant_of(details.get("created_time")) or arrival.created_time
    owner = source.default_owner if source else None
    return draft_from(
        mapped,
        lead_source=(source.lead_source if source else "") or str(platform.label),
        tags=source.tags if source else [],
        owner_id=owner.pk if owner and owner.is_active else None,
        platform_key=platform,
        source_page_id=arrival.page_id,
        source_page_name=source.name if source else "",
        raw_field_data=answers,
        consent_time=(created or arrival.received_at) if _consented(details.get("custom_disclaimer_responses")) else None,
        created_at=created,
    )


def _details(arrival: Arrival) -> dict[str, Any]:
    """What Graph answered. A payload pasted to try a mapping may be that answer itself."""
    details = arrival.payload.get("details", arrival.payload)
    return details if isinstance(details, dict) else {}


def _answers(details: Mapping[str, Any]) -> dict[str, str]:
    answers: dict[str, str] = {}
    field_data = details.get("field_data")
    for item in field_data[:_MOST_ANSWERS] if isinstance(field_data, list) else []:
        name, values = (item.get("name"), item.get("values")) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and name.strip():
            given = values if isinstance(values, list) else [values]
            answers[name[:300]] = ", ".join(text for value in given if value is not None and (text := text_of(value)))
    return answers


def _consented(responses: Any) -> bool:
    """Whether every box beside the form's own text was ticked, and there was one."""
    boxes = responses if isinstance(responses, list) else []
    return bool(boxes) and all(isinstance(box, dict) and box.get("is_checked") in (True, 1, "1", "true") for box in boxes)


# --- values ---


def id_of(value: Any) -> str:
    """One of Facebook's ids, which come as text and as numbers; empty where it is none."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _ID.fullmatch(text) else ""


def instant_of(value: Any) -> datetime | None:
    """A time as the webhook (seconds since 1970) or the Graph API (ISO 8601) gives it, if it can be one."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
        else:
            moment = datetime.fromtimestamp(int(value), tz=_EARLIEST.tzinfo)
        return moment if _EARLIEST <= moment <= timezone.now() + timedelta(days=1) else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None
