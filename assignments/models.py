"""Who works which lead, by which rule and why; the rules, the people they choose from, and how much those can take."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from assignments.enums import Fallback, Method
from crm.history import track
from crm.identity.models import Team, User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from leads.models import Lead

# --- people ---


@track()
class Pool(TenantOwned):
    """A named list of people with weights, for rules to choose from."""

    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=200, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="assignments_pool_name")]

    def __str__(self) -> str:
        return self.name


@track()
class PoolMember(TenantOwned):
    """Somebody in a pool. Twice the weight is twice the leads, where a rule goes by weight."""

    pool = TenantForeignKey(Pool, models.CASCADE, related_name="memberships")
    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    weight = models.PositiveSmallIntegerField(_("weight"), default=1)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "pool", "user"], name="assignments_poolmember_once"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=100), name="assignments_poolmember_weight"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.pool_id}"


@track()
class Capacity(TenantOwned):
    """How much one person takes. Without a row: as many as come.

    `takes_leads` None leaves it to the role: who may give leads to others is not given any unless a rule names them.
    """

    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    takes_leads = models.BooleanField(_("takes leads"), null=True)
    per_day = models.PositiveIntegerField(_("most a day"), null=True, blank=True)
    in_total = models.PositiveIntegerField(_("most open leads"), null=True, blank=True)

    class Meta:
        verbose_name_plural = _("capacities")
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="assignments_capacity_once")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.per_day or '∞'} a day, {self.in_total or '∞'} in total"


@track()
class Leave(TenantOwned):
    """Days on which somebody is given nothing, both ends included."""

    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    first_day = models.DateField(_("from"))
    last_day = models.DateField(_("to"))
    note = models.CharField(_("note"), max_length=120, blank=True)

    class Meta:
        ordering = ["first_day", "id"]
        indexes = [models.Index(fields=["tenant", "last_day"], name="assignments_leave_end")]
        constraints = [models.CheckConstraint(condition=Q(last_day__gte=F("first_day")), name="assignments_leave_order")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.first_day} – {self.last_day}"


# --- rules ---


@track()
class AssignmentRule(TenantOwned):
    """Which leads go to whom. The first rule that matches a lead and can place it decides.

    Targets are one of user, team, pool; rules by territory name their people in `territories`, those by company or earlier
    owner choose among everybody unless a target is set. A deleted rule stays for what it decided.
    """

    name = models.CharField(_("name"), max_length=80)
    position = models.PositiveIntegerField(_("position"), default=0)
    is_active = models.BooleanField(_("in use"), default=True)
    conditions = models.JSONField(_("conditions"), null=True, blank=True, help_text=_("As the filter of a list of leads; none: all leads."))
    method = models.CharField(_("method"), max_length=13, choices=Method, default=Method.ROUND_ROBIN)
    user = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("person"))
    team = TenantForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("team"))
    pool = TenantForeignKey(Pool, models.PROTECT, null=True, blank=True, related_name="rules", verbose_name=_("pool"))
    territories = models.JSONField(
        _("territories"), default=list, blank=True, help_text='[{"country": "US", "state": "", "city": "", "users": [1]}]'
    )
    per_day = models.PositiveIntegerField(_("most a day for each"), null=True, blank=True)
    in_total = models.PositiveIntegerField(_("most open leads for each"), null=True, blank=True)
    heed_shifts = models.BooleanField(_("only in working hours"), default=True)
    fallback = models.CharField(_("if nobody can take it"), max_length=4, choices=Fallback, default=Fallback.NEXT)
    fallback_user = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("then to"))
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["position", "id"]
        indexes = [models.Index(fields=["tenant", "position", "id"], name="assignments_rule_order", condition=Q(deleted_at=None))]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], condition=Q(deleted_at=None), name="assignments_rule_name"),
        ]

    def __str__(self) -> str:
        return self.name


class RuleVersion(TenantOwned):
    """All rules as they stood from one change to the next."""

    number = models.PositiveIntegerField(_("version"))
    rules = models.JSONField(default=list)
    made_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    made_at = models.DateTimeField(_("from"), auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="assignments_version_number")]

    def __str__(self) -> str:
        return f"version {self.number}"


class Turn(TenantOwned):
    """Where the turns of a rule stand. The next lead goes to the highest credit, once each has gained its weight."""

    rule = TenantForeignKey(AssignmentRule, models.CASCADE, related_name="turns")
    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    credit = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "rule", "user"], name="assignments_turn_once")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.credit}"


# --- what was decided ---


class Decision(TenantOwned):
    """Why leads went to somebody, or to nobody: shared by all leads that were weighed alike at once.

    `candidates` are the people who could have taken them, `skipped` maps a reason to people, `passed` lists the earlier rules
    that matched and placed nothing. Without a rule, none placed the lead.
    """

    rule = TenantForeignKey(AssignmentRule, models.PROTECT, null=True, related_name="+")
    version = models.PositiveIntegerField()
    method = models.CharField(max_length=13, choices=Method, blank=True)
    candidates = models.JSONField(default=list)
    skipped = models.JSONField(default=dict)
    passed = models.JSONField(default=list)
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "-id"], name="assignments_decision_newest")]

    def __str__(self) -> str:
        return f"decision {self.pk}"


class Assignment(TenantOwned):
    """A time in which a lead had an owner, or none after having had one. Written by the database whenever the owner changes.

    Whoever gave the lead, and whom it had before, are kept as plain numbers: the trigger writes thousands a second.
    """

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="assignments")
    assigned_user = TenantForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("owner"))
    assigned_by_id = models.BigIntegerField(_("by"), null=True)
    previous_user_id = models.BigIntegerField(_("before"), null=True)
    at = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"), null=True)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    door = models.CharField(_("door"), max_length=10, blank=True)
    rule = TenantForeignKey(AssignmentRule, models.PROTECT, null=True, related_name="+")
    decision = TenantForeignKey(Decision, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "lead"], condition=Q(until=None), name="assignments_current_once")]
        indexes = [
            models.Index(fields=["tenant", "lead", "-id"], name="assignments_of_lead"),
            models.Index(fields=["tenant", "assigned_user", "at", "id"], name="assignments_of_user"),
            models.Index(fields=["tenant", "at", "id"], include=["assigned_user", "rule"], name="assignments_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.lead_id} → {self.assigned_user_id}"


class CatchAllEntry(TenantOwned):
    """A lead that no rule could place. The database takes it out when the lead gets an owner."""

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="+")
    decision = TenantForeignKey(Decision, models.PROTECT, related_name="+")
    since = models.DateTimeField(_("since"))

    class Meta:
        ordering = ["since", "id"]
        verbose_name_plural = _("catch-all queue")
        constraints = [models.UniqueConstraint(fields=["tenant", "lead"], name="assignments_catchall_once")]
        indexes = [models.Index(fields=["tenant", "since", "id"], name="assignments_catchall_order")]

    def __str__(self) -> str:
        return f"{self.lead_id} since {self.since}"


class QueueWatch(TenantOwned):
    """Who could take leads when the catch-all queue was last tried, so that it is not tried in vain."""

    seen = models.CharField(max_length=40, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="assignments_watch_once")]

    def __str__(self) -> str:
        return self.seen
