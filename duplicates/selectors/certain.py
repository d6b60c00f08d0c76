"""Groups so sure that they may be merged without a look at each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models
from django.db.models import Count, Max
from django.utils import timezone

from crm.tenancy.scope import current_tenant_id
from duplicates.models import DuplicateGroup
from duplicates.selectors.groups import WEIGHTY
from leads.models import Lead

# Nobody may ask for less before leads are merged unseen.
LEAST_SURE = 0.9


@dataclass(frozen=True)
class SureGroup:
    """A group in which every lead is like the primary one, the one that knows most."""

    id: int
    primary_id: int
    other_ids: Sequence[int]


@dataclass(frozen=True)
class SureCount:
    """How many groups there are, the leads that merging them would save, and the last group's id."""

    groups: int
    leads: int
    last_id: int


_SURE = """
WITH looked AS (
    SELECT id FROM duplicates_duplicategroup
    WHERE tenant_id = %(tenant)s AND similarity >= %(threshold)s AND (later_until IS NULL OR later_until <= %(now)s)
        AND id > %(after)s AND id <= %(until)s AND size >= %(least)s
    ORDER BY id LIMIT %(most)s
), pair AS (
    SELECT pair.group_id, pair.first_id, pair.second_id, pair.similarity
    FROM duplicates_duplicatepair AS pair JOIN looked ON looked.id = pair.group_id WHERE pair.tenant_id = %(tenant)s
), member AS (
    SELECT DISTINCT group_id, lead FROM pair CROSS JOIN LATERAL (VALUES (first_id), (second_id)) AS side (lead)
), ranked AS (
    SELECT member.group_id, member.lead, {known} AS known
    FROM member JOIN leads_lead AS lead ON lead.id = member.lead AND lead.tenant_id = %(tenant)s AND lead.deleted_at IS NULL
), chosen AS (
    SELECT group_id, (array_agg(lead ORDER BY known DESC, lead))[1] AS primary_id, count(*) AS size FROM ranked GROUP BY group_id
), decided AS (
    SELECT one.group_id
    FROM duplicates_decision AS decision
    JOIN member AS one ON one.lead = decision.first_id
    JOIN member AS other ON other.lead = decision.second_id AND other.group_id = one.group_id
    WHERE decision.tenant_id = %(tenant)s AND (decision.until IS NULL OR decision.until > %(now)s)
), sure AS (
    SELECT chosen.group_id, chosen.primary_id, array_agg(other.lead ORDER BY other.lead) AS others
    FROM chosen JOIN ranked AS other ON other.group_id = chosen.group_id AND other.lead <> chosen.primary_id
    JOIN pair ON pair.group_id = chosen.group_id AND pair.similarity >= %(threshold)s
        AND pair.first_id = least(other.lead, chosen.primary_id) AND pair.second_id = greatest(other.lead, chosen.primary_id)
    WHERE chosen.size >= 2 AND chosen.group_id NOT IN (SELECT group_id FROM decided)
    GROUP BY chosen.group_id, chosen.primary_id, chosen.size
    HAVING count(*) = chosen.size - 1
)
"""
_ALL = 2**62


def sure_groups(*, threshold: float, after: int, until: int, most: int) -> tuple[list[SureGroup], int | None]:
    """The sure ones among the next groups by id, at most so many looked at, and the last id looked at; None when there are no more.

    A group is sure when all its pairs with the primary lead reach the threshold and nobody keeps any of it separate or has put
    it off.
    """
    text = "SELECT group_id, primary_id, others, last FROM (SELECT max(id) AS last FROM looked) AS seen LEFT JOIN sure ON true ORDER BY group_id"
    rows = _ask(text, threshold=threshold, after=after, until=until, most=most)
    last = rows[0][3] if rows else None
    return [SureGroup(group, primary, others) for group, primary, others, _last in rows if group is not None], last


def count_sure_groups(*, threshold: float) -> SureCount:
    """All sure groups. In a group of two its one pair decides, which needs no look at the leads."""
    now = timezone.now()
    twos = DuplicateGroup.objects.filter(similarity__gte=threshold, size=2).exclude(later_until__gt=now)
    counted = twos.aggregate(number=Count("pk"), last=Max("pk"))
    text = "SELECT count(*), coalesce(sum(cardinality(others)), 0), coalesce(max(group_id), 0) FROM sure"
    groups, leads, last = _ask(text, threshold=threshold, least=3)[0]
    return SureCount(int(groups) + counted["number"], int(leads) + counted["number"], max(int(last), counted["last"] or 0))


def least_sure(*, threshold: float, most: int) -> list[DuplicateGroup]:
    """The sure groups of two leads that are nearest to the threshold: where a mistake would be looked for first."""
    groups = DuplicateGroup.objects.filter(similarity__gte=threshold, size=2).exclude(later_until__gt=timezone.now())
    return list(groups.order_by("similarity", "pk")[:most])


def _ask(text: str, *, threshold: float, after: int = 0, until: int = _ALL, most: int = _ALL, least: int = 2) -> list[Any]:
    given: dict[str, Any] = {"tenant": current_tenant_id(), "threshold": threshold, "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(_SURE.format(known=_known()) + text, given | {"after": after, "until": until, "most": most, "least": least})
        return cursor.fetchall()


def _known() -> str:
    """How much a lead's row says, as `groups` counts it."""
    texts = (models.CharField, models.TextField, models.EmailField)
    said = [
        f"(lead.{name} <> '')::int" if isinstance(Lead._meta.get_field(name), texts) else f"(lead.{name} IS NOT NULL)::int"
        for name in WEIGHTY
    ]
    return " + ".join(said)
