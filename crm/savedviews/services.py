"""Save, change and drop views."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput, NotFound
from crm.identity.models import Role
from crm.registry import saveable_lists
from crm.savedviews.enums import Audience
from crm.savedviews.models import SavedView
from crm.savedviews.selectors import SHARE, as_seen_by, may_change, views_visible_to

MOST_VIEWS, MOST_PARAMETERS = 200, 60
# Characters of a view's address. A server reads a line of 8,190, and the list's links carry its state once more, encoded again.
MOST_ADDRESS = 4_500


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """What a view is to be. `query` None leaves the state as it is."""

    name: str
    query: Mapping[str, Any] | None = None
    audience: str = Audience.PRIVATE
    team_id: int | None = None
    is_pinned: bool = False
    default_for: tuple[str, ...] = ()
    position: int = 0


def find_view(*, view_id: int, by: Actor) -> SavedView:
    view = views_visible_to(by).filter(pk=view_id).first() if view_id < 2**63 else None
    if view is None:
        raise NotFound("No such view.")
    return view


def save_view(*, view: SavedView | None, list_name: str = "", wanted: ViewSettings, by: Actor) -> SavedView:
    """Make a view, or change one. Raises InvalidInput by field, Forbidden, DomainError for a name one has given already."""
    if view is not None and not may_change(view, by):
        raise Forbidden("Only who made this view may change it.")
    view = view or _new_view(list_name, by=by)
    name = wanted.name.strip()
    if not name or len(name) > 60 or "\x00" in name:
        raise InvalidInput({"name": ["Give a name of at most 60 characters."]})
    if wanted.query is not None:
        view.query = _checked_query({**_unseen(view, by), **wanted.query})
    _share(view, wanted, by=by)
    view.name, view.is_pinned, view.position = name, wanted.is_pinned, wanted.position
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        raise DomainError("You have a view of this name already.", field="name") from None
    return view


def delete_view(*, view: SavedView, by: Actor) -> None:
    if not may_change(view, by):
        raise Forbidden("Only who made this view may delete it.")
    view.delete()


def _new_view(list_name: str, *, by: Actor) -> SavedView:
    known = next((item for item in saveable_lists.of("main") if item.name == list_name), None)
    if known is None:
        raise InvalidInput({"list": [f"Must be one of {', '.join(item.name for item in saveable_lists.of('main'))}."]})
    if known.capability:
        by.require(known.capability)
    if by.user_id is None:
        raise Forbidden("Views belong to people.")
    if SavedView.objects.filter(owner_id=by.user_id, list_name=list_name).count() >= MOST_VIEWS:
        raise InvalidInput({"name": [f"At most {MOST_VIEWS} views of a list."]})
    return SavedView(list_name=list_name, owner_id=by.user_id)


def _share(view: SavedView, wanted: ViewSettings, *, by: Actor) -> None:
    if wanted.audience not in Audience.values:
        raise InvalidInput({"audience": [f"Must be one of {', '.join(Audience.values)}."]})
    widened = wanted.audience == Audience.EVERYONE and view.audience != Audience.EVERYONE
    if (widened or set(wanted.default_for) != set(view.default_for)) and not by.can(SHARE):
        raise Forbidden("You may not share views with everyone.", field="audience")
    if wanted.audience == Audience.TEAM and (wanted.team_id is None or wanted.team_id not in {*by.team_ids, view.team_id}):
        raise InvalidInput({"team": ["Choose one of your teams."]})
    if wanted.default_for and wanted.audience == Audience.PRIVATE:
        raise InvalidInput({"default_for": ["Only a view that others see can be their default."]})
    unknown = set(wanted.default_for) - set(Role.objects.values_list("code", flat=True)) if wanted.default_for else set()
    if unknown:
        raise InvalidInput({"default_for": [f"No such role: {sorted(unknown)[0][:40]}."]})
    view.audience, view.default_for = wanted.audience, sorted(set(wanted.default_for))
    view.team_id = wanted.team_id if wanted.audience == Audience.TEAM else None


def _unseen(view: SavedView, by: Actor) -> dict[str, Any]:
    """The parameters that the view has and whoever changes it must not know: they stay."""
    seen = as_seen_by(by, view).query
    return {name: value for name, value in view.query.items() if name not in seen}


def _checked_query(query: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a list's address: texts, or lists of texts. What only names a place in the list is left out."""
    kept: dict[str, Any] = {}
    for name, value in query.items():
        if name in ("cursor", "shown", "page", "view", "from", "limit", "offset") or value in ("", [], None):
            continue
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) and "\x00" not in text for text in texts) or "\x00" in name or len(name) > 60:
            raise InvalidInput({"query": [f"{name[:40]}: must be a text or a list of texts."]})
        kept[name] = value
    if len(kept) > MOST_PARAMETERS:
        raise InvalidInput({"query": [f"At most {MOST_PARAMETERS} parameters."]})
    length = len(urlencode(kept, doseq=True))
    if length > MOST_ADDRESS:
        raise InvalidInput(
            {"query": [f"Too long to be opened: its address would have {length:,} characters, at most {MOST_ADDRESS:,}. Filter by less."]}
        )
    return kept
