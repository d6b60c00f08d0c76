"""Reads of sources and of what came in by them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from crm.errors import InvalidInput
from leads.enums import ProcessingStatus
from leads.models import Arrival, WebForm
from webhooks.enums import SourceKind
from webhooks.models import ArrivalJob, FieldMapping, Source

# How far back the forms of a source are looked for that have no mapping yet.
_RECENT = 200


# --- arrivals ---


def arrivals_before(condition: Q, *, cursor: str = "", limit: int) -> tuple[list[Arrival], str | None]:
    """One page of arrivals, newest first, without what they hold, and the cursor of the next."""
    rows = Arrival.objects.filter(condition).select_related("lead").defer("payload", "lead__search", "lead__raw_field_data")
    if cursor:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
            raise InvalidInput({"cursor": ["Not a cursor of this list."]})
        rows = rows.filter(pk__lt=int(cursor))
    page = list(rows.order_by("-pk")[: limit + 1])
    return page[:limit], str(page[limit - 1].pk) if len(page) > limit else None


def open_arrivals(condition: Q) -> dict[str, int]:
    """How many of these wait and how many failed, exactly. Reads the index of what is not done, however much is."""
    return Arrival.objects.filter(~Q(processing_status=ProcessingStatus.PROCESSED), condition).aggregate(
        waiting=Count("pk", filter=Q(processing_status=ProcessingStatus.RECEIVED)),
        failed=Count("pk", filter=Q(processing_status=ProcessingStatus.FAILED)),
    )


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a page of arrivals says besides the arrivals: where each came in, what the undone hold, when they are tried."""

    names: dict[tuple[str, int], str] = field(default_factory=dict)
    due: dict[int, object] = field(default_factory=dict)
    payloads: dict[int, dict[str, object]] = field(default_factory=dict)


def surroundings_of(arrivals: Sequence[Arrival]) -> Surroundings:
    """Names, jobs and payloads of a page of arrivals, in as many queries for one as for fifty."""
    sources = {arrival.door_id for arrival in arrivals if arrival.door_id and arrival.door != "website"}
    forms = {arrival.door_id for arrival in arrivals if arrival.door_id and arrival.door == "website"}
    waiting = [arrival.pk for arrival in arrivals if arrival.processing_status == ProcessingStatus.RECEIVED]
    leadless = [arrival.pk for arrival in arrivals if arrival.lead_id is None]
    named = {(source.kind, source.pk): source.name for source in Source.objects.filter(pk__in=sources).only("kind", "name")}
    named |= {("website", form.pk): form.name for form in WebForm.objects.filter(pk__in=forms).only("name")}
    return Surroundings(
        names=named,
        due=dict(ArrivalJob.objects.filter(arrival_id__in=waiting).values_list("arrival_id", "due_at")),
        payloads=dict(Arrival.objects.filter(pk__in=leadless).values_list("pk", "payload")),
    )


def find_arrival(pk: int) -> Arrival | None:
    """An arrival with its lead."""
    return Arrival.objects.select_related("lead").filter(pk=pk).first() if pk < 2**63 else None


# --- sources ---


def sources_overview() -> QuerySet[Source]:
    """Sources with their key, owner and last arrival."""
    last = Arrival.objects.filter(door=OuterRef("kind"), door_id=OuterRef("pk")).order_by("-pk").values("received_at")[:1]
    return Source.objects.select_related("key", "default_owner").annotate(last_arrival_at=Subquery(last))


def failed_by_source(source: Source | None = None) -> dict[int, int]:
    """How many arrivals of each source failed, or of one; a source without any is left out."""
    only = Q(door=source.kind, door_id=source.pk) if source else Q(door__in=SourceKind.values)
    rows = (
        Arrival.objects.filter(only, ~Q(processing_status=ProcessingStatus.PROCESSED), processing_status=ProcessingStatus.FAILED)
        .order_by()
        .values_list("door_id")
        .annotate(n=Count("pk"))
    )
    return {pk: n for pk, n in rows if pk is not None}


def arrivals_of_source(source: Source, *, form_id: str = "") -> QuerySet[Arrival]:
    """What came in by a source, newest first; of one of its forms where it is named."""
    rows = Arrival.objects.filter(door=source.kind, door_id=source.pk).order_by("-pk")
    return rows.filter(form_id=form_id) if form_id else rows


def forms_of_source(source: Source) -> dict[str, FieldMapping | None]:
    """The forms of a source by id: those with a mapping, then those met lately that have none."""
    forms: dict[str, FieldMapping | None] = {mapping.form_id: mapping for mapping in FieldMapping.objects.filter(source=source)}
    for form_id in arrivals_of_source(source).values_list("form_id", flat=True)[:_RECENT]:
        if form_id:
            forms.setdefault(form_id, None)
    return forms


def address_of(source: Source) -> str:
    """Where a source's sender posts. Facebook's is one for all pages; the others' hold their key."""
    if source.kind == SourceKind.FACEBOOK:
        return f"{settings.SITE_URL}/api/webhooks/facebook"
    folder = "in" if source.kind == SourceKind.WEBHOOK else "email"
    return f"{settings.SITE_URL}/api/webhooks/{folder}/{source.key.key}"


def find_source(pk: int) -> Source | None:
    """A source with its key, owner and last arrival."""
    return sources_overview().filter(pk=pk).first() if pk < 2**63 else None
