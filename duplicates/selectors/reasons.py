"""Why two leads count as similar, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from duplicates.selectors.comparing import COMPARABLE, CUSTOM, Configuration


@dataclass(frozen=True)
class Reason:
    """How far one field agrees. `tone` is `same`, `alike` or `different`."""

    field: str
    tone: str
    text: str


def label_of(name: str) -> str:
    """A compared field as people call it."""
    if name.startswith(CUSTOM):
        return name.removeprefix(CUSTOM).replace("_", " ").capitalize()
    return str(COMPARABLE[name][0]) if name in COMPARABLE else name


def reasons_for(levels: Mapping[str, int], wanted: Configuration, *, matched_on: Sequence[str] = ()) -> list[Reason]:
    """What agrees first, then what is alike, then what differs; a field that either lead lacks is not named."""
    found = [Reason(name, "same", _say(label_of(name), "same", "")) for name in matched_on if not levels.get(name)]
    for item in wanted.fields:
        level = int(levels.get(item.name, 0))
        if not level:
            continue
        top = item.compares.top
        tone = "same" if level >= top else "different" if level == 1 else "alike"
        found.append(Reason(item.name, tone, _say(label_of(item.name), tone, item.compares.labels[min(level, top) - 1])))
    order = {"same": 0, "alike": 1, "different": 2}
    return sorted(found, key=lambda reason: order[reason.tone])


def _say(label: str, tone: str, words: str) -> str:
    named: dict[str, Any] = {"field": label[:1].lower() + label[1:]}
    if tone == "same":
        return _("same %(field)s") % named
    if tone == "different":
        return _("different %(field)s") % named
    return _("%(field)s %(words)s") % {**named, "words": _(words)}
