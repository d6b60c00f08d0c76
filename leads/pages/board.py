"""The pipeline: leads as cards in a column for each status."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import split_words
from crm.listing import Listing
from crm.web.pages import Page
from crm.web.templatetags.ui import short_money, short_number
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import visible_definitions
from leads.enums import StatusCategory
from leads.filters import SORTS, LeadList
from leads.models import LeadStatus
from leads.pages.controls import Controls
from leads.permissions import ADD, CHANGE, VIEW
from leads.selectors import moves_from, name_of, owner_name_of, rows_in_order, vocabulary
from leads.services.drafts import RECORDS

CARDS = 20
# So long in an open status, a card is marked as standing, and as forgotten.
STALE, ROTTEN = timedelta(days=7), timedelta(days=14)
_SORTS = ("created_at", "updated_at", "score", "priority", "next_follow_up", "last_contact")
_ASCENDING = {"next_follow_up"}


class Board:
    """The columns of an address: each status with the list of its leads."""

    def __init__(self, params: Mapping[str, str], actor: Actor) -> None:
        self.actor, self.problem = actor, ""
        self.sort, self.descending = _sort(params.get("sort", ""))
        try:
            self.whole = LeadList(params=params, actor=actor, sort=self.sort, descending=self.descending)
            self.params = dict(params)
        except InvalidInput as refusal:
            self.problem = refusal.message
            self.whole, self.params = LeadList(params={}, actor=actor, sort=self.sort, descending=self.descending), {}

    def statuses(self) -> list[LeadStatus]:
        """Those in use, or of these the ones a filter names."""
        named = self.params.get("status", "")
        wanted = {pk for word in split_words(named) for pk in vocabulary().coarse_ids(word)}
        return [status for status in vocabulary().statuses if not named or status.pk in wanted]

    def column(self, status: LeadStatus) -> Listing:
        """The whole board's leads in one status, along an index that begins with it."""
        branches = [branch.filter(status_id=status.pk) for branch in self.whole.listing.branches]
        return replace(self.whole.listing, branches=branches)

    def state(self) -> dict[str, str]:
        """What of the address makes this board."""
        kept = {name: self.params[name] for name in self.whole.narrowing.applied if self.params.get(name)}
        return kept | {name: self.params[name] for name in ("sort", "sum") if self.params.get(name)}


class BoardPage(Page):
    """Columns of cards, twenty at a time. With `column` and `cursor`, for htmx, the next cards of one column alone."""

    capability = VIEW
    template = "leads/board.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        params = {name: request.GET.get(name, "") for name in request.GET}
        board = Board(params, self.actor)
        if request.htmx and params.get("column"):  # type: ignore[attr-defined]
            status = next((item for item in board.statuses() if item.code == params["column"]), None)
            columns = self.columns(board, [status] if status else [], cursor=params.get("cursor", ""))
            return self.show({"column": columns[0] if columns else None, "can_change": self.actor.can(CHANGE)}, part="cards")
        statuses = board.statuses()
        state = board.state()
        sums = summable(self.actor)
        context = {
            "columns": self.columns(board, statuses),
            "counts_url": f"{reverse('leads:board-counts')}?{urlencode(state)}",
            "problem": board.problem,
            "can_change": self.actor.can(CHANGE),
            "can_add": self.actor.can(ADD),
            "sums": [{"label": item.label, "key": item.name, "active": item.name == params.get("sum")} for item in sums],
            **self._furniture(board, state),
        }
        return self.show({**context, **_heads(board, lazily=True)})

    def columns(self, board: Board, statuses: list[LeadStatus], *, cursor: str = "") -> list[dict[str, Any]]:
        """The first cards of each column, or those after a cursor; everything they show is read together."""
        pages = []
        for status in statuses:
            listing = board.column(status)
            try:
                pages.append((status, listing.page(limit=CARDS, cursor=cursor or None)))
            except InvalidInput:
                pages.append((status, listing.page(limit=CARDS)))
        ids = [pk for _status, page in pages for pk in page.ids]
        rows = {row["id"]: row for row in rows_in_order(ids)}
        moves = {status.pk: moves_from(status) for status in statuses} if self.actor.can(CHANGE) else {}
        now, state = timezone.now(), board.state()
        return [
            {
                "status": status,
                "cards": [_card(rows[pk], status, now) for pk in page.ids if pk in rows],
                "moves": moves.get(status.pk, []),
                "more": f"?{urlencode({**state, 'column': status.code, 'cursor': page.next_cursor})}" if page.next_cursor else "",
            }
            for status, page in pages
        ]

    def _furniture(self, board: Board, state: dict[str, str]) -> dict[str, Any]:
        controls = Controls(board.whole.filters, board.params, self.actor)
        applied, groups = board.whole.narrowing.applied, controls.menu()

        def without(name: str) -> str:
            return f"?{urlencode({key: value for key, value in state.items() if key != name})}"

        return {
            "field_groups": groups,
            "chips": [{**chip, "remove": without(chip["name"])} for chip in controls.chips(applied)],
            "search": board.params.get("search", ""),
            "sorts": [
                {"label": SORTS[name].label, "query": name if name in _ASCENDING else f"-{name}", "active": name == board.sort}
                for name in _SORTS
            ],
            "kept": [*((name, board.params.get(name, "")) for name in ("sort", "sum")), *controls.besides(applied, groups)],
            "list_query": urlencode({name: text for name, text in state.items() if name != "sum"}),
            "board_query": urlencode(state),
            "list_url": reverse("leads:list"),
            "board_url": reverse("leads:board"),
        }


class BoardCountsPage(Page):
    """The exact number of each column, and the sum asked for: read beside the cards, and again when something moved."""

    capability = VIEW
    template = "leads/board.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        board = Board({name: request.GET.get(name, "") for name in request.GET}, self.actor)
        return self.show({"statuses": board.statuses(), **_heads(board, lazily=False)}, part="heads")


def _heads(board: Board, *, lazily: bool) -> dict[str, Any]:
    """Numbers and sums by status. `lazily` leaves to a second request what takes longer than the cards."""
    summed = next((item for item in summable(board.actor) if item.name == board.params.get("sum")), None)
    if lazily and (summed or not board.whole.in_ledger):
        return {"counts": {}, "totals": {}, "later": True}
    counts = board.whole.counts_by("status_id")
    totals = board.whole.sums_by_status(summed.key, is_money=summed.kind == FieldKind.MONEY) if summed else {}
    return {
        "counts": {status.pk: counts.get(status.pk, 0) for status in board.statuses()},
        "totals": {pk: _in_words(by_currency) for pk, by_currency in totals.items()},
        "summed": summed,
        "later": False,
    }


def _in_words(by_currency: Mapping[str, Decimal]) -> str:
    """Each currency by itself: amounts of several do not add up."""
    return " + ".join(short_money(total, code) if code else short_number(total) for code, total in sorted(by_currency.items()) if total)


def summable(actor: Actor) -> list[FieldDefinition]:
    """The custom fields whose values can be added up."""
    return [item for item in visible_definitions(RECORDS, actor) if item.kind in (FieldKind.NUMBER, FieldKind.MONEY)]


def _card(row: dict[str, Any], status: LeadStatus, now: datetime) -> dict[str, Any]:
    age = max(now - row["status_changed_at"], timedelta())
    standing = ""
    if status.category == StatusCategory.OPEN:
        standing = "rotten" if age >= ROTTEN else "stale" if age >= STALE else ""
    owner = owner_name_of(row) if row["owner_id"] else ""
    return {"row": row, "name": name_of(row), "owner": owner, "age": age, "standing": standing, "tags": row["tags"][:3]}


def _sort(text: str) -> tuple[str, bool]:
    name = text.lstrip("-")
    return (name, text.startswith("-")) if name in SORTS else ("created_at", True)
