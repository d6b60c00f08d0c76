"""The pipeline: leads as cards in a column for each status."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.template.backends.utils import csrf_input
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import split_words
from crm.listing import Listing
from crm.listing import Page as ListPage
from crm.web.pages import Page
from crm.web.templatetags.ui import due_class, duration, hue, icon, initials, relative, short_money, short_number
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import visible_definitions
from leads.enums import StatusCategory
from leads.filters import SORTS, LeadList
from leads.models import LeadStatus
from leads.pages.columns import Row, score_cell
from leads.pages.controls import Controls
from leads.permissions import ADD, CHANGE, VIEW
from leads.selectors import name_of, next_statuses, owner_name_of, rows_by_status, rows_in_order, vocabulary
from leads.services.drafts import RECORDS

CARDS = 20
# So long in an open status, a card is marked as standing, and as forgotten.
STALE, ROTTEN = timedelta(days=7), timedelta(days=14)
_SORTS = ("created_at", "updated_at", "score", "priority", "next_follow_up", "last_contact")
_ASCENDING = {"next_follow_up"}
# What the index of owners holds beside each lead, and is no order of its own.
BESIDE_OWNERS = {"score", "priority", "next_follow_up_at"}


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

    def first_pages(self, statuses: list[LeadStatus], *, limit: int) -> list[tuple[LeadStatus, ListPage]]:
        """The first page of each column.

        Each walks an index of its own. One owner's leads lie together in theirs, the newest first: in another order they are read once
        for all columns rather than once for each.
        """
        owners, branches, column = (
            self.whole.narrowing.values.get("assigned_to") or [],
            self.whole.listing.branches,
            self.whole.listing.sort.column,
        )
        of_one_owner = len(owners) == 1 and "none" not in owners and len(branches) == 1
        if not (of_one_owner and self.whole.in_ledger and column in BESIDE_OWNERS):
            return [(status, self.column(status).page(limit=limit)) for status in statuses]
        rows = rows_by_status(branches[0], column=column, descending=self.descending, most=limit + 1)
        return [(status, self.column(status).page_of(rows.get(status.pk, []), limit=limit)) for status in statuses]

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
            return self.show({"column": columns[0] if columns else None, **self.on_cards(board)}, part="cards")
        statuses = board.statuses()
        state = board.state()
        sums = summable(self.actor)
        context = {
            "columns": self.columns(board, statuses),
            "counts_url": f"{reverse('leads:board-counts')}?{urlencode(state)}",
            "problem": board.problem,
            "can_add": self.actor.can(ADD),
            **self.on_cards(board),
            "sums": [{"label": item.label, "key": item.name, "active": item.name == params.get("sum")} for item in sums],
            **self._furniture(board, state),
        }
        return self.show({**context, **_heads(board, lazily=True)})

    def on_cards(self, board: Board) -> dict[str, Any]:
        """What all cards have in common, so that it is drawn once: there are some hundred and sixty on a page."""
        back = format_html('<input type="hidden" name="next" value="{}?{}">', reverse("leads:board"), urlencode(board.state()))
        return {
            "can_change": self.actor.can(CHANGE),
            "move": _("Move"),
            "move_to": _("Move to"),
            "move_fields": csrf_input(self.request) + back,
            "more_icon": icon("ellipsis"),
        }

    def columns(self, board: Board, statuses: list[LeadStatus], *, cursor: str = "") -> list[dict[str, Any]]:
        """The first cards of each column, or those after a cursor; everything they show is read together."""
        pages: list[tuple[LeadStatus, ListPage]] = []
        if cursor:
            try:
                pages = [(status, board.column(status).page(limit=CARDS, cursor=cursor)) for status in statuses]
            except InvalidInput:
                cursor = ""
        if not cursor:
            pages = board.first_pages(statuses, limit=CARDS)
        ids = [pk for _of, page in pages for pk in page.ids]
        rows = {row["id"]: row for row in rows_in_order(ids)}
        can_change, now, state, base = self.actor.can(CHANGE), timezone.now(), board.state(), reverse("leads:list")
        return [
            {
                "status": status,
                "cards": [_card(rows[pk], status, now, base) for pk in page.ids if pk in rows],
                "moves": _moves(status) if can_change else "",
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


def _moves(status: LeadStatus) -> SafeString:
    """The buttons of the menu on each card of a column."""
    button = '<button class="menu-item" name="status" value="{}"><span class="label">{}</span></button>'
    return format_html_join("", button, ((target.code, target.label) for target in next_statuses(status)))


def _card(row: Row, status: LeadStatus, now: datetime, base: str) -> dict[str, Any]:
    """What the template sets down of a lead. Components and filters for every part of every card took most of a second a page."""
    age = max(now - row["status_changed_at"], timedelta())
    standing = ""
    if status.category == StatusCategory.OPEN:
        standing = "rotten" if age >= ROTTEN else "stale" if age >= STALE else ""
    owner, due = owner_name_of(row) if row["owner_id"] else "", row["next_follow_up_at"]
    # Numbers are texts already, or the template would write each by the rules of the language.
    return {
        "id": str(row["id"]),
        "href": f"{base}/{row['id']}",
        "name": name_of(row),
        "company": row["company"],
        "tags": [Truncator(tag).chars(18) for tag in row["tags"][:3]],
        "score": score_cell(row),
        "age": duration(age),
        "standing": standing,
        "due": due_class(due) if due else "",
        "due_icon": icon("calendar-clock", 14, "icon--sm", relative(due)) if due else "",
        "owner": owner,
        "owner_hue": str(hue(row["owner_id"])),
        "initials": initials(owner) if owner else "",
    }


def _sort(text: str) -> tuple[str, bool]:
    name = text.lstrip("-")
    return (name, text.startswith("-")) if name in SORTS else ("created_at", True)
