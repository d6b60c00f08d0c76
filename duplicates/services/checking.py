"""Keep keys and pairs fresh: a few leads against all, found through their keys, set-wise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Q
from psycopg import sql

from crm.actors import Actor
from crm.registry import SimilarRecord
from crm.tenancy.scope import current_tenant_id
from duplicates.models import KEYS, DuplicatePair, LeadKeys
from duplicates.selectors import CUSTOM, Configuration, Weights, configuration, weights_in_force
from duplicates.services.features import Features, features_of, key_number, keys_of, names_read, read_features, stored_as
from duplicates.services.grouping import lock_pairs, regroup
from leads.models import Lead
from leads.services.drafts import LeadDraft
from matching.columns import Column
from matching.linking import Pairs, probabilities

# Pairs below are not worth a look; groups are built from those above.
STORED_FROM = 0.5
AT_ONCE = 2_000
# As many leads are looked at for one key: a lead that is like more of them is found by another key as well.
_MOST_OF_A_KEY = 40
# Who adds a lead is named so many that are like it.
_MOST_NAMED = 5


@dataclass(frozen=True)
class Similar:
    """A lead that is like the one checked."""

    lead_id: int
    similarity: float
    levels: Mapping[str, int]


def refresh_leads(*, lead_ids: Sequence[int], by: Actor) -> int:
    """Bring keys, pairs and groups of these leads up to date; those in the bin lose theirs. Answers how many pairs there are.

    Done twice, it changes nothing.
    """
    found = 0
    for start in range(0, len(lead_ids), AT_ONCE):
        found += _refresh(list(dict.fromkeys(lead_ids[start : start + AT_ONCE])), by=by)
    return found


def _refresh(ids: list[int], *, by: Actor) -> int:
    wanted, weights = configuration(), weights_in_force()
    with transaction.atomic():
        lock_pairs()
        mine = read_features(Lead.objects.live().filter(pk__in=ids), wanted)
        live = mine.ids.tolist()
        keys = keys_of(mine, wanted)
        write_keys(live, keys, gone=set(ids) - set(live))
        pairs, features = _compare(live, keys, wanted, weights)
        neighbours, groups = _replace_pairs(ids, pairs, features, wanted)
        regroup(lead_ids={*ids, *neighbours}, replaced=groups, by=by)
    return len(pairs)


def check_draft(*, draft: LeadDraft, at_most: int = 20, by: Actor) -> list[Similar]:
    """The live leads like a normalised draft that is not stored, the likeliest first. Nothing is written."""
    wanted = configuration()
    names = names_read(wanted)
    texts = [str(draft.custom_fields.get(name.removeprefix("custom:"), "")) if ":" in name else getattr(draft, name) for name in names]
    row = [0, *texts]
    stored = _rows_sharing(keys_of(features_of([row], names, wanted), wanted), names)
    if not stored:
        return []
    features = features_of([row, *stored], names, wanted, keys=False)
    one, other = np.zeros(len(stored), dtype=np.int64), np.arange(1, len(stored) + 1)
    pairs = _weighed(features, one, other, wanted, weights_in_force())
    found = [
        Similar(int(features.ids[place]), float(probability), dict(zip((item.name for item in wanted.fields), levels, strict=True)))
        for place, probability, levels in zip(pairs.other.tolist(), pairs.probability.tolist(), pairs.levels.tolist(), strict=True)
    ]
    return sorted(found, key=lambda item: -item.similarity)[:at_most]


def similar_to_draft(*, draft: LeadDraft, by: Actor) -> list[SimilarRecord]:
    """The live leads that reach the tenant's threshold, the likeliest first, for who is about to add one."""
    wanted = configuration()
    tops = {item.name: item.compares.top for item in wanted.fields}
    found = []
    for item in check_draft(draft=draft, at_most=_MOST_NAMED, by=by):
        if item.similarity >= wanted.threshold:
            alike = [name for name, level in item.levels.items() if level > 1]
            same = [name for name in alike if item.levels[name] >= tops[name]]
            found.append(SimilarRecord(id=item.lead_id, similarity=round(item.similarity, 4), matched_on=tuple(same or alike)))
    return found


def likeness_now(*, lead_id: int, other_ids: Sequence[int], by: Actor) -> dict[int, float]:
    """How similar other leads are to this one as they all are just now. What is unlike, or gone, is left out."""
    wanted, weights = configuration(), weights_in_force()
    features = read_features(Lead.objects.live().filter(pk__in=[lead_id, *other_ids]), wanted)
    places = {pk: place for place, pk in enumerate(features.ids.tolist())}
    if lead_id not in places:
        return {}
    others = [places[pk] for pk in other_ids if pk in places]
    one = np.full(len(others), places[lead_id], dtype=np.int64)
    pairs = _weighed(features, one, np.array(others, dtype=np.int64), wanted, weights)
    return dict(zip(features.ids[pairs.other].tolist(), pairs.probability.tolist(), strict=True))


def _rows_sharing(keys: Mapping[str, Sequence[int | None]], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The live leads that share a key with the one whose keys these are: id and texts, in one statement of b-tree look-ups."""
    held = [(name, values[0]) for name, values in keys.items() if values[0] is not None]
    if not held:
        return []
    branch = sql.SQL("(SELECT lead_id FROM duplicates_leadkeys WHERE tenant_id = %s AND {key} = %s ORDER BY {key} LIMIT {most})")
    branches = [branch.format(key=sql.Identifier(name), most=sql.Literal(_MOST_OF_A_KEY)) for name, _key in held]
    texts = [sql.SQL("custom_fields ->> %s") if name.startswith(CUSTOM) else sql.Identifier(stored_as(name)) for name in names]
    statement = sql.SQL(
        "SELECT id, {texts} FROM leads_lead WHERE tenant_id = %s AND deleted_at IS NULL AND id = ANY (ARRAY ({shared}))"
    ).format(texts=sql.SQL(", ").join(texts), shared=sql.SQL(" UNION ").join(branches))
    tenant_id = current_tenant_id()
    custom = [name.removeprefix(CUSTOM) for name in names if name.startswith(CUSTOM)]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*custom, tenant_id, *(value for _name, key in held for value in (tenant_id, key))])
        return cursor.fetchall()


# --- keys ---


def write_keys(ids: Sequence[int], keys: Mapping[str, Sequence[int | None]], *, gone: set[int]) -> None:
    """Store the keys of leads, in one statement, and forget those of leads that are gone."""
    if gone:
        LeadKeys.objects.filter(lead__in=gone).delete()
    if not ids:
        return
    columns, kinds = ", ".join(KEYS), ", ".join(["%s::bigint[]"] * (len(KEYS) + 1))
    same = " AND ".join(f"old.{name} IS NOT DISTINCT FROM excluded.{name}" for name in KEYS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in KEYS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO duplicates_leadkeys AS old (tenant_id, lead_id, {columns}) "  # noqa: S608 -- the columns are KEYS
            f"SELECT %s, * FROM unnest({kinds}) AS new (lead_id, {columns}) "
            f"ON CONFLICT (tenant_id, lead_id) DO UPDATE SET {sets} WHERE NOT ({same})",
            [current_tenant_id(), list(ids), *(list(keys[name]) for name in KEYS)],
        )


def _candidates(ids: Sequence[int], keys: Mapping[str, Sequence[int | None]]) -> list[tuple[int, int]]:
    """Pairs of these leads with any lead that has a key in common, each once: b-tree look-ups, bounded for each key."""
    branches: list[str] = []
    values: list[Any] = []
    for name in KEYS:
        held = [(lead, key) for lead, key in zip(ids, keys[name], strict=True) if key is not None]
        if not held:
            continue
        branches.append(
            f"SELECT mine.lead, other.lead_id FROM unnest(%s::bigint[], %s::bigint[]) AS mine (lead, key) CROSS JOIN LATERAL "  # noqa: S608
            f"(SELECT lead_id FROM duplicates_leadkeys WHERE tenant_id = %s AND {name} = mine.key AND lead_id <> mine.lead "
            f"ORDER BY {name} LIMIT {_MOST_OF_A_KEY}) AS other"
        )
        values += [[lead for lead, _key in held], [key for _lead, key in held], current_tenant_id()]
    if not branches:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ".join(branches), values)
        return [(one, other) for one, other in cursor.fetchall()]


# --- pairs ---


def _compare(
    ids: Sequence[int], keys: Mapping[str, Sequence[int | None]], wanted: Configuration, weights: Weights
) -> tuple[Pairs, Features]:
    """The similar pairs of these leads with all others."""
    found = {(min(pair), max(pair)) for pair in _candidates(ids, keys)}
    together = sorted({lead for pair in found for lead in pair})
    features = read_features(Lead.objects.live().filter(pk__in=together), wanted)
    places = {lead: place for place, lead in enumerate(features.ids.tolist())}
    there = [(places[one], places[other]) for one, other in sorted(found) if one in places and other in places]
    one, other = (np.array([pair[side] for pair in there], dtype=np.int64) for side in (0, 1))
    return _weighed(features, one, other, wanted, weights), features


def _weighed(features: Features, one: np.ndarray, other: np.ndarray, wanted: Configuration, weights: Weights) -> Pairs:
    if not len(one):
        return Pairs(one, other, np.zeros(0), np.zeros((0, len(wanted.fields)), dtype=np.uint8))
    for item in wanted.fields:
        if item.frequencies:
            _set_shares(features.columns[item.counts], weights.common.get(item.name, {}))
    probability, levels = probabilities(features.columns, wanted.fields, weights.model, one, other)
    kept = probability >= STORED_FROM
    return Pairs(one[kept], other[kept], probability[kept], levels[kept])


def _set_shares(column: Column, common: Mapping[str, float]) -> None:
    """How frequent values are among all leads, which these few cannot tell."""
    column.derived["shares"] = np.array([common.get(str(key_number(value)), 0.0) for value in column.values] or [0.0])


def _replace_pairs(ids: Sequence[int], pairs: Pairs, features: Features, wanted: Configuration) -> tuple[set[int], set[int]]:
    """Store these pairs in place of all that the leads had. Answers the leads and the groups of the old ones."""
    old = DuplicatePair.objects.filter(Q(first__in=ids) | Q(second__in=ids))
    before = list(old.values_list("first_id", "second_id", "found_at", "group_id"))
    known = {(first, second): (found_at, group) for first, second, found_at, group in before}
    old.delete()
    names = [item.name for item in wanted.fields]
    made = []
    for one, other, similarity, levels in zip(
        features.ids[pairs.one].tolist(), features.ids[pairs.other].tolist(), pairs.probability.tolist(), pairs.levels.tolist(), strict=True
    ):
        first, second = min(one, other), max(one, other)
        pair = DuplicatePair(first_id=first, second_id=second, similarity=similarity, levels=dict(zip(names, levels, strict=True)))
        pair.found_at, pair.group_id = known.get((first, second), (pair.found_at, None))
        made.append(pair)
    DuplicatePair.objects.bulk_create(made)
    return {lead for pair in known for lead in pair}, {row[3] for row in before if row[3] is not None}
