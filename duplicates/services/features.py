"""Leads as columns that the engine compares, and the keys by which the database finds candidates."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models.fields.json import KeyTextTransform
from numpy.typing import NDArray

from duplicates.models import KEYS
from duplicates.selectors import CUSTOM, Configuration
from leads.models import LeadQuerySet
from matching.columns import Column, ColumnBuilder, coalesced, fold, mapped, paired
from matching.keys import company_key, own_domain, phonetic_words

# What candidates are found by, whatever is compared.
_ALWAYS = ("first_name", "last_name", "email", "phone", "company", "website", "city")
_STORED_AS = {"email": "email_key"}
# Shorter names of mailboxes (info, sales, j.doe) are anybody's.
_SHORTEST_MAILBOX = 6
_ANYBODY = frozenset({"contact", "hello", "office", "service", "support", "enquiries", "marketing", "postmaster", "webmaster", "reception"})


@dataclass(frozen=True)
class Features:
    """Leads in some order, and their columns in the same order."""

    ids: NDArray[np.int64]
    columns: Mapping[str, Column]

    def only(self, places: NDArray[np.int64]) -> "Features":
        """Some of the leads, with the same values behind them."""
        return Features(self.ids[places], {name: Column(column.codes[places], column.values) for name, column in self.columns.items()})


def read_features(leads: LeadQuerySet, wanted: Configuration, *, at_once: int = 20_000) -> Features:
    """Read leads as they stream by: a distinct text costs memory once. Without an order of their own they come by id."""
    names = names_read(wanted)
    rows = _texts(leads, names).iterator(chunk_size=at_once)
    return features_of(rows, names, wanted)


def names_read(wanted: Configuration) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_ALWAYS, *(item.name for item in wanted.fields if item.name != "name")]))


def stored_as(name: str) -> str:
    """The column that a built-in field is read from."""
    return _STORED_AS.get(name, name)


def _texts(leads: LeadQuerySet, names: Sequence[str]) -> Any:
    custom = {f"custom_{place}": name.removeprefix(CUSTOM) for place, name in enumerate(names) if name.startswith(CUSTOM)}
    own = [f"custom_{place}" if name.startswith(CUSTOM) else stored_as(name) for place, name in enumerate(names)]
    asked = leads.annotate(**{alias: KeyTextTransform(name, "custom_fields") for alias, name in custom.items()})
    return asked.order_by().values_list("pk", *own)


def features_of(rows: Iterable[Sequence[Any]], names: Sequence[str], wanted: Configuration, *, keys: bool = True) -> Features:
    """Rows of an id and the named texts, as columns; without those that `keys` are made of where they are compared only."""
    ids: list[int] = []
    builders = [ColumnBuilder() for _ in names]
    for row in rows:
        ids.append(row[0])
        for builder, text in zip(builders, row[1:], strict=True):
            builder.add(text or "")
    raw = {name: builder.done() for name, builder in zip(names, builders, strict=True)}
    builders.clear()
    return Features(np.array(ids, dtype=np.int64), _derived(raw, wanted, keys=keys))


def _derived(raw: dict[str, Column], wanted: Configuration, *, keys: bool) -> dict[str, Column]:
    how = {item.name: item.comparator for item in wanted.fields}
    columns = {name: mapped(column, _maker(name, how.get(name, ""))) for name, column in raw.items()}
    website = mapped(raw["website"], own_domain)
    columns["domain"] = coalesced(website, mapped(columns["email"], own_domain))
    columns["full_name"] = paired(columns["first_name"], columns["last_name"])
    if not keys:
        return columns
    columns["organisation"] = coalesced(columns["company"], mapped(columns["domain"], lambda domain: domain.split(".", 1)[0]))
    columns["mailbox"] = mapped(columns["email"], _mailbox)
    columns["phone_end"] = mapped(columns["phone"], lambda digits: digits[-7:])
    columns["first_sound"] = mapped(columns["first_name"], phonetic_words)
    columns["last_sound"] = mapped(columns["last_name"], phonetic_words)
    columns["name_sound"] = paired(columns["first_sound"], columns["last_sound"])
    return columns


def _maker(name: str, comparator: str) -> Any:
    if name == "email":
        return str.strip
    if name == "company":
        return company_key
    if name == "phone" or comparator == "phone":
        return lambda text: "".join(letter for letter in text if letter.isdigit())
    if name == "website":
        return own_domain
    if comparator == "email":
        return str.casefold
    return fold


def _mailbox(address: str) -> str:
    local = address.partition("@")[0]
    return local if len(local) >= _SHORTEST_MAILBOX and local not in _ANYBODY else ""


# --- keys ---


def key_number(text: str) -> int:
    """A text as a number that a plain index finds."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def keys_of(features: Features, wanted: Configuration) -> dict[str, list[int | None]]:
    """The keys of each lead, by the columns of LeadKeys."""
    columns = features.columns
    sources: dict[str, tuple[str, ...]] = {
        "email": ("email",),
        "phone": ("phone",),
        "mailbox": ("mailbox",),
        "name": ("name_sound",),
        "company_first": ("organisation", "first_sound"),
        "company_last": ("organisation", "last_sound"),
        **{f"custom_{place}": (name,) for place, name in enumerate(wanted.keyed, start=1)},
    }
    found: dict[str, list[int | None]] = {}
    for key in KEYS:
        read = [columns[name] for name in sources.get(key, ())]
        found[key] = _numbers(read, salt=",".join(sources[key])) if read else [None] * len(features.ids)
    return found


def _numbers(read: Sequence[Column], *, salt: str) -> list[int | None]:
    codes = zip(*(column.codes.tolist() for column in read), strict=True)
    return [
        key_number(salt + "\x1f" + "\x1f".join(column.values[code] for column, code in zip(read, row, strict=True)))
        if min(row) >= 0
        else None
        for row in codes
    ]
