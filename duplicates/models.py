"""Keys by which leads are found alike, the pairs and groups found, and what people decided about them."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from duplicates.enums import ScanState, Verdict
from leads.models import Lead

KEYS = ("email", "phone", "mailbox", "name", "company_first", "company_last", "custom_1", "custom_2", "custom_3")


@track()
class DuplicateSettings(TenantOwned):
    """How a tenant finds duplicates; without a row the product's defaults hold.

    `fields` is a list of {"name", "comparator"}; `custom:<name>` names a custom field.
    """

    fields = models.JSONField(_("compared fields"), default=list)
    threshold = models.FloatField(_("similar from"), default=0.8)
    nightly = models.BooleanField(_("look through all leads every night"), default=True)
    auto_merge = models.BooleanField(_("merge the sure ones every night"), default=False)
    auto_merge_from = models.FloatField(_("sure from"), default=0.95)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="duplicates_settings_once"),
            models.CheckConstraint(condition=Q(threshold__gte=0.5, threshold__lte=0.999), name="duplicates_threshold_range"),
            models.CheckConstraint(condition=Q(auto_merge_from__gte=0.9, auto_merge_from__lte=1), name="duplicates_auto_merge_range"),
        ]

    def __str__(self) -> str:
        return str(_("Finding duplicates"))


class MatchWeights(TenantOwned):
    """What the last scan learnt about a tenant's leads. `version` counts up; `compared` names the fields it holds for."""

    version = models.PositiveIntegerField(default=1)
    compared = models.CharField(max_length=400)
    weights = models.JSONField(default=dict)
    common = models.JSONField(default=dict, help_text="For each field the share of its frequent values.")
    leads = models.PositiveIntegerField(default=0)
    learnt_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="duplicates_weights_once")]

    def __str__(self) -> str:
        return f"weights {self.version}"


def _key_index(name: str) -> models.Index:
    return models.Index(fields=["tenant", name], name=f"dup_key_{name}", condition=Q(**{f"{name}__isnull": False}))


class LeadKeys(TenantOwned):
    """The keys of one live lead, as numbers: leads with an equal key are compared."""

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="+")
    email = models.BigIntegerField(null=True)
    phone = models.BigIntegerField(null=True)
    mailbox = models.BigIntegerField(null=True, help_text="An e-mail's part before the @.")
    name = models.BigIntegerField(null=True, help_text="How the names sound, whatever their order.")
    company_first = models.BigIntegerField(null=True, help_text="The company, and how the first name sounds.")
    company_last = models.BigIntegerField(null=True, help_text="The company, and how the last name sounds.")
    custom_1 = models.BigIntegerField(null=True)
    custom_2 = models.BigIntegerField(null=True)
    custom_3 = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = _("keys of leads")
        constraints = [models.UniqueConstraint(fields=["tenant", "lead"], name="duplicates_keys_lead")]
        indexes = [_key_index(name) for name in KEYS]

    def __str__(self) -> str:
        return f"keys of {self.lead_id}"


class DuplicateGroup(TenantOwned):
    """Leads that are likely one. Made anew whenever its leads change: what people decided is kept in Decision.

    `later_until` is set while somebody has put off all of it.
    """

    similarity = models.FloatField(_("highest similarity"))
    size = models.PositiveIntegerField(_("leads"))
    later_until = models.DateTimeField(null=True)
    found_at = models.DateTimeField(_("found"), default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(size__gte=2), name="duplicates_group_size")]
        indexes = [models.Index(fields=["tenant", "-similarity", "-id"], name="duplicates_group_queue")]

    def __str__(self) -> str:
        return f"{self.size} leads, {self.similarity:.2f}"


class DuplicatePair(TenantOwned):
    """Two leads that may be one: the probability, and how far each field agrees. `group` is the group that holds both."""

    first = TenantForeignKey(Lead, models.CASCADE, related_name="+")
    second = TenantForeignKey(Lead, models.CASCADE, related_name="+")
    similarity = models.FloatField(_("similarity"))
    levels = models.JSONField(default=dict, help_text="Field → level of agreement.")
    group = TenantForeignKey(DuplicateGroup, models.SET_NULL, null=True, related_name="pairs")
    found_at = models.DateTimeField(_("found"), default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "first", "second"], name="duplicates_pair_once"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="duplicates_pair_order"),
            models.CheckConstraint(condition=Q(similarity__gte=0, similarity__lte=1), name="duplicates_similarity_range"),
        ]
        indexes = [
            models.Index(fields=["tenant", "second"], name="duplicates_pair_second"),
            models.Index(fields=["tenant", "group"], name="duplicates_pair_group", condition=Q(group__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} ~ {self.second_id}: {self.similarity:.2f}"


@track()
class Decision(TenantOwned):
    """What somebody decided about two leads. It outlives every scan; `until` ends one that only puts off."""

    first = TenantForeignKey(Lead, models.CASCADE, related_name="+", verbose_name=_("lead"))
    second = TenantForeignKey(Lead, models.CASCADE, related_name="+", verbose_name=_("other lead"))
    verdict = models.CharField(_("decision"), max_length=8, choices=Verdict)
    until = models.DateTimeField(_("until"), null=True)
    decided_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("decided by"))
    decided_at = models.DateTimeField(_("decided"), default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "first", "second"], name="duplicates_decision_once"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="duplicates_decision_order"),
            models.CheckConstraint(
                condition=Q(verdict=Verdict.SEPARATE, until=None) | Q(verdict=Verdict.LATER, until__isnull=False),
                name="duplicates_decision_until",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "second"], name="duplicates_decision_second")]

    def __str__(self) -> str:
        return f"{self.first_id}, {self.second_id}: {self.get_verdict_display()}"


class Scan(TenantOwned):
    """One look through all leads of a tenant."""

    state = models.CharField(_("state"), max_length=7, choices=ScanState, default=ScanState.WAITING)
    asked_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("asked by"))
    asked_at = models.DateTimeField(_("asked"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    leads = models.PositiveIntegerField(_("leads"), default=0)
    candidates = models.PositiveBigIntegerField(_("pairs compared"), default=0)
    pairs = models.PositiveIntegerField(_("similar pairs"), default=0)
    groups = models.PositiveIntegerField(_("groups"), default=0)
    error = models.CharField(_("what is wrong"), max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "-id"], name="duplicates_scan_latest")]
        constraints = [
            # Whoever asks while one waits or runs joins it.
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(state__in=[ScanState.WAITING, ScanState.RUNNING]), name="duplicates_scan_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"scan {self.pk}: {self.get_state_display()}"


class Merge(TenantOwned):
    """One lead that became part of another, and all it takes to part them again.

    `before` and `after` hold the winner's columns that the merge changed, `moved` the ids of the records that went along,
    by participant. The loser stays in the database, out of every list, for as long as the merge stands.
    """

    loser = TenantForeignKey(Lead, models.CASCADE, related_name="+", verbose_name=_("merged lead"))
    winner = TenantForeignKey(Lead, models.CASCADE, related_name="+", verbose_name=_("into"))
    rules = models.JSONField(default=dict)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    moved = models.JSONField(default=dict)
    operation_id = models.BigIntegerField(null=True)
    merged_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("merged by"))
    merged_at = models.DateTimeField(_("merged"), default=timezone.now)
    undone_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("parted by"))
    undone_at = models.DateTimeField(_("parted"), null=True)
    kept = models.JSONField(default=list, help_text="What was changed since and stayed with the winner when they were parted.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "loser"], condition=Q(undone_at=None), name="duplicates_merged_once"),
            models.CheckConstraint(condition=~Q(loser=F("winner")), name="duplicates_merge_two"),
        ]
        indexes = [
            models.Index(fields=["tenant", "winner", "-id"], name="duplicates_merge_winner"),
            models.Index(fields=["tenant", "operation_id"], name="duplicates_merge_operation", condition=Q(operation_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.loser_id} → {self.winner_id}"
