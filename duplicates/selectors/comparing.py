"""Reads of duplicates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext_lazy as _

from crm.tenancy.scope import current_scope, current_tenant_id
from duplicates.models import DuplicateSettings, MatchWeights, Scan
from leads.models import Lead
from matching.comparing import COMPARATORS
from matching.spec import Field, Pass, Spec
from matching.weights import Model

CUSTOM = "custom:"
# The columns of a lead that may be compared, with the comparator that suits each.
COMPARABLE = {
    "name": (_("Name"), "person"),
    "email": (_("E-mail"), "email"),
    "phone": (_("Phone"), "phone"),
    "company": (_("Company"), "organisation"),
    "title": (_("Job title"), "text"),
    "website": (_("Website"), "exact"),
    "city": (_("City"), "text"),
    "state": (_("State"), "exact"),
    "country": (_("Country"), "exact"),
}
DEFAULT_FIELDS = tuple({"name": name, "comparator": COMPARABLE[name][1]} for name in ("name", "email", "phone", "company", "city"))
COMPARATOR_LABELS = {
    "exact": _("The same or not"),
    "person": _("First and last name together"),
    "name": _("Name: typing slips, initials"),
    "text": _("Text: edits, order of words"),
    "code": _("Number or code: one slip"),
    "date": _("Date: a slip, day and month turned round"),
    "email": _("E-mail"),
    "phone": _("Phone"),
    "organisation": _("Company: without legal form, or the same domain"),
}
# What a comparator reads beside the field itself.
_READ = {"name": ("first_name", "last_name"), "company": ("company", "domain")}
_FREQUENT = {"person", "name", "email", "phone"}
# Agreeing in these says nothing about people of different names.
_BESIDE_NAME = {"company", "website", "city", "state", "country", "title"}
# How keys are made, to be counted up with every change.
_KEYS = 2
# As many custom fields find candidates; others are compared only.
KEYED_CUSTOM = 3


@dataclass(frozen=True)
class Configuration:
    """The fields compared, in the form the engine takes."""

    fields: tuple[Field, ...]
    threshold: float = 0.8

    @property
    def custom(self) -> tuple[str, ...]:
        """The custom fields compared, in their order."""
        return tuple(item.name for item in self.fields if item.name.startswith(CUSTOM))

    @property
    def keyed(self) -> tuple[str, ...]:
        """The custom fields that find candidates: those that tell people apart."""
        return tuple(item.name for item in self.fields if item.name.startswith(CUSTOM) and item.comparator != "exact")[:KEYED_CUSTOM]

    @property
    def spec(self) -> Spec:
        custom = tuple(Pass(columns=(name,), then=("last_sound", "first_sound", "company", "city")) for name in self.keyed)
        return Spec(
            fields=self.fields,
            passes=(
                Pass(columns=("email",), then=("last_sound", "first_sound")),
                Pass(columns=("phone",), then=("last_sound", "first_sound")),
                Pass(columns=("mailbox",), then=("last_sound", "company", "city")),
                Pass(columns=("name_sound",), then=("organisation", "city", *self.keyed, "phone_end")),
                Pass(columns=("organisation", "first_sound"), then=("last_sound", "city")),
                Pass(columns=("organisation", "last_sound"), then=("first_sound", "city")),
                *custom,
            ),
            largest_block=150,
            window=3,
        )

    @property
    def signature(self) -> str:
        """Names what is compared and how keys are made: where it changes, weights and keys are made anew."""
        return f"{_KEYS};{','.join(f'{item.name}={item.comparator}' for item in self.fields)}"[:400]

    def general_model(self, leads: int) -> Model:
        """Weights of leads in general, for tenants whose own leads have told little yet: one lead in ten has a double."""
        return Model(
            {item.name: _whole(item.compares.prior) for item in self.fields},
            {item.name: _whole(item.compares.chance) for item in self.fields},
            min(0.001, 0.1 / max(2, leads)),
        )


def _whole(shares: Iterable[float]) -> tuple[float, ...]:
    values = tuple(shares)
    return tuple(value / sum(values) for value in values)


def configured(fields: Iterable[Mapping[str, str]], *, threshold: float = 0.8) -> Configuration:
    """The configuration that settings' rows mean; an unknown comparator is left out."""
    made = []
    for row in fields:
        name, comparator = row["name"], row["comparator"]
        if comparator not in COMPARATORS:
            continue
        made.append(
            Field(
                name=name,
                comparator=comparator,
                columns=_READ.get(name, ()) if comparator in ("person", "organisation") else (),
                frequencies=comparator in _FREQUENT,
                counted="full_name" if comparator == "person" else "",
                beside="name" if name in _BESIDE_NAME else "",
            )
        )
    return Configuration(tuple(made), threshold)


def settings_of_tenant() -> DuplicateSettings:
    """The open tenant's settings; unsaved ones with the defaults where it has none."""
    return DuplicateSettings.objects.first() or DuplicateSettings(fields=[dict(row) for row in DEFAULT_FIELDS])


@dataclass(frozen=True)
class Weights:
    """The weights in force, and the share of values that many leads hold."""

    model: Model
    common: Mapping[str, Mapping[str, float]]
    version: int = 0


@dataclass(frozen=True)
class _Kept:
    """What this process has decoded of a tenant's settings and weights, and the rows it was read from."""

    rows: tuple[object, ...]
    wanted: Configuration
    weights: Weights | None


# The values that many leads hold take a millisecond to decode, which checking one lead would feel.
_MOST_TENANTS = 200
_kept: dict[int, _Kept] = {}
_ROWS = """
SELECT settings.id, settings.updated_at, weights.id, weights.version, weights.learnt_at
FROM (SELECT id, updated_at FROM duplicates_duplicatesettings WHERE tenant_id = %(tenant)s) AS settings
FULL JOIN (SELECT id, version, learnt_at FROM duplicates_matchweights WHERE tenant_id = %(tenant)s) AS weights ON true
"""


def configuration() -> Configuration:
    """The open tenant's configuration, read once for the work in progress."""
    return _in_force().wanted


def weights_in_force() -> Weights:
    """What the last scan learnt, if it compared the same fields, else what holds of leads in general."""
    found = _in_force()
    return found.weights or Weights(found.wanted.general_model(_about_leads()), {})


def forget_configuration() -> None:
    """Read settings and weights anew: the work in progress has changed them."""
    current_scope().memo.pop(_MEMO, None)


_MEMO = "duplicates.in_force"


def _in_force() -> _Kept:
    """One look at the rows' versions for the work in progress; they are read only where they are others than this process knows."""
    memo = current_scope().memo
    if _MEMO not in memo:
        tenant_id = current_tenant_id()
        with connection.cursor() as cursor:
            cursor.execute(_ROWS, {"tenant": tenant_id})
            rows = tuple(cursor.fetchone() or ())
        kept = _kept.get(tenant_id)
        if kept is None or kept.rows != rows:
            kept = _read(rows)
            if len(_kept) >= _MOST_TENANTS:
                _kept.clear()
            _kept[tenant_id] = kept
        memo[_MEMO] = kept
    found: _Kept = memo[_MEMO]
    return found


def _read(rows: tuple[object, ...]) -> _Kept:
    settings = settings_of_tenant()
    wanted = configured(settings.fields, threshold=settings.threshold)
    learnt = MatchWeights.objects.filter(compared=wanted.signature).first()
    weights = Weights(Model.from_json(learnt.weights), learnt.common, learnt.version) if learnt else None
    return _Kept(rows, wanted, weights)


def _about_leads() -> int:
    """How many leads there are, up to a thousand: nobody needs it closer, and counting a million takes long."""
    memo = current_scope().memo
    if "duplicates.about_leads" not in memo:
        memo["duplicates.about_leads"] = max(10, min(1_000, Lead.objects.live().order_by()[:1_000].count()))
    found: int = memo["duplicates.about_leads"]
    return found


def latest_scan() -> Scan | None:
    return Scan.objects.first()
