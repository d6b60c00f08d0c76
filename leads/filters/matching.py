"""What an index finds that row conditions cannot use under the policies: words, tags, values of custom fields."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from django.db import connection
from django.db.models import BooleanField, F, Func, Q, Value

from crm.listing import TextCondition
from crm.normal import clean_text


def search_query(text: str) -> str | None:
    """Turn what somebody types into a tsquery: every word a prefix, a phone in any notation its digits. None: nothing to find."""
    text = clean_text(text)[:200]
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) >= 3 and not re.sub(r"[0-9\s().+/-]", "", text):
        # A leading zero is a trunk prefix that the stored form lacks, or the beginning of the last digits.
        return " | ".join(f"{part}:*" for part in dict.fromkeys((digits.lstrip("0"), digits)) if part)
    terms = []
    for word in text.split()[:12]:
        if "@" in word and not word.startswith("@"):
            terms.append(_quoted(word.lower()))
        else:
            terms.extend(_quoted(part) for part in re.findall(r"\w+", fold(word)))
    return " & ".join(terms) or None


def _quoted(lexeme: str) -> str:
    safe = lexeme.replace("\\", "").replace("'", "''")[:200]
    return f"'{safe}':*"


def fold(word: str) -> str:
    """A text as search and the keys of names hold it: small, without accents."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT crm_fold(%s)", [word])
        return str(cursor.fetchone()[0])


def search_condition(text: str) -> TextCondition | None:
    query = search_query(text)
    if query is None:
        return None
    rows = Func(F("search"), Value(query), template="(%(expressions)s::tsquery)", arg_joiner=" @@ ", output_field=BooleanField())
    return TextCondition(
        rows=rows,
        candidates=lambda most: _ask("SELECT leads_search_ids(%s::tsquery, %s)", [query, most]),
        count=lambda owner_id: _ask("SELECT leads_search_count(%s::tsquery, %s)", [query, owner_id]),
    )


def tag_condition(tags: list[str]) -> TextCondition | None:
    if not tags:
        return None
    return TextCondition(
        rows=Q(tags__contains=tags),
        candidates=lambda most: _ask("SELECT leads_tagged_ids(%s::varchar[], %s)", [tags, most]),
        count=lambda owner_id: _ask("SELECT leads_tagged_count(%s::varchar[], %s)", [tags, owner_id]),
    )


def custom_condition(wanted: Mapping[str, Any]) -> TextCondition:
    """Leads whose custom fields contain this map."""
    text = orjson.dumps(wanted).decode()
    return TextCondition(
        rows=Q(custom_fields__contains=wanted),
        candidates=lambda most: _ask("SELECT leads_custom_ids(%s::jsonb, %s)", [text, most]),
        count=lambda owner_id: _ask("SELECT leads_custom_count(%s::jsonb, %s)", [text, owner_id]),
    )


def _ask(sql: str, params: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]
