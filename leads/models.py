"""The lead, its vocabularies, and where it came from."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import Team, User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.managers import TenantManager, TenantQuerySet
from crm.tenancy.models import TenantOwned
from leads.enums import Platform, Priority, ProcessingStatus, StatusCategory


@track()
class LeadStatus(TenantOwned):
    """A stage of the tenant's lead life. `number` is its public id: 1 to 8 are document 1's, a tenant's own follow from 101."""

    number = models.PositiveSmallIntegerField(_("number"))
    code = models.SlugField(_("code"), max_length=40, db_index=False)
    label = models.CharField(_("name"), max_length=60)
    description = models.CharField(_("description"), max_length=200, blank=True)
    category = models.CharField(_("meaning"), max_length=5, choices=StatusCategory, default=StatusCategory.OPEN)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    is_builtin = models.BooleanField(default=False, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name_plural = _("lead statuses")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="leads_status_number"),
            models.UniqueConstraint(fields=["tenant", "code"], name="leads_status_code"),
        ]

    def __str__(self) -> str:
        return self.label


@track()
class LeadTransition(TenantOwned):
    """A move between statuses that the team allows, and what it asks for: fields that must be filled, and a reason."""

    source = TenantForeignKey(LeadStatus, models.CASCADE, related_name="ways_out", verbose_name=_("from"))
    target = TenantForeignKey(LeadStatus, models.CASCADE, related_name="ways_in", verbose_name=_("to"))
    required_fields = ArrayField(
        models.CharField(max_length=80),
        verbose_name=_("required fields"),
        default=list,
        blank=True,
        help_text=_("Fields of the lead, such as company, or custom fields as cf_budget."),
    )
    needs_reason = models.BooleanField(_("needs a reason"), default=False)

    class Meta:
        ordering = ["source", "target"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "source", "target"], name="leads_transition_once"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="leads_transition_moves"),
        ]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Tag(TenantOwned):
    """A tag in use, for suggestions. A lead keeps its tags itself."""

    name = models.CharField(_("name"), max_length=50)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="leads_tag_name")]

    def __str__(self) -> str:
        return self.name


class LeadQuerySet(TenantQuerySet["Lead"]):
    def live(self) -> "LeadQuerySet":
        return self.filter(deleted_at=None)

    def with_list_columns(self) -> "LeadQuerySet":
        """What every list and answer shows, in one query."""
        return self.select_related("status", "owner").defer("search")


LeadManager = TenantManager.from_queryset(LeadQuerySet)

# Recomputed by machines or derived by the database: no history is kept of these.
UNTRACKED = ("score", "quality_grade", "lifecycle_stage", "search", "name_key", "company_key", "updated_at")
_LIVE = Q(deleted_at=None)


_FACETS = (
    "status", "priority", "lead_source", "platform_key", "industry", "company_size", "score", "quality_grade", "next_follow_up_at",
)  # fmt: skip


def _sort_index(column: str) -> models.Index:
    return models.Index(fields=["tenant", column, "id"], name=f"leads_by_{column}"[:30], condition=_LIVE)


@track(exclude=UNTRACKED)
class Lead(TenantOwned):
    """A person or company that may buy: document 1's `lead_data` with the fields of documents 0 and 2."""

    first_name = models.CharField(_("first name"), max_length=100, blank=True)
    last_name = models.CharField(_("last name"), max_length=100, blank=True)
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    email_key = models.CharField(max_length=254, blank=True, editable=False)
    phone = models.CharField(_("phone"), max_length=30, blank=True, help_text=_("In E.164 where it could be read, else as typed."))
    company = models.CharField(_("company"), max_length=200, blank=True)
    title = models.CharField(_("job title"), max_length=150, blank=True)
    website = models.CharField(_("website"), max_length=300, blank=True)
    industry = models.CharField(_("industry"), max_length=100, blank=True)
    company_size = models.CharField(_("company size"), max_length=30, blank=True)
    city = models.CharField(_("city"), max_length=100, blank=True)
    state = models.CharField(_("state"), max_length=100, blank=True)
    country = models.CharField(_("country"), max_length=100, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    tags = ArrayField(models.CharField(max_length=50), verbose_name=_("tags"), default=list, blank=True)
    custom_fields = models.JSONField(_("further fields"), default=dict, blank=True)

    status = TenantForeignKey(LeadStatus, models.PROTECT, verbose_name=_("status"), related_name="leads")
    status_changed_at = models.DateTimeField(_("in this status since"))
    lost_reason = models.CharField(_("reason lost"), max_length=100, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority, default=Priority.MEDIUM)
    owner = TenantForeignKey(User, models.SET_NULL, verbose_name=_("owner"), null=True, blank=True, related_name="leads")
    assigned_at = models.DateTimeField(_("assigned"), null=True, blank=True)
    last_contact_at = models.DateTimeField(_("last contact"), null=True, blank=True)
    next_follow_up_at = models.DateTimeField(_("next follow-up"), null=True, blank=True)

    lead_source = models.CharField(_("source"), max_length=60, blank=True, help_text=_("The marketing source."))
    platform_key = models.CharField(_("channel"), max_length=12, choices=Platform, default=Platform.OTHER)
    source_page_id = models.CharField(_("page id"), max_length=64, blank=True)
    source_page_name = models.CharField(_("page name"), max_length=150, blank=True)
    raw_field_data = models.JSONField(_("as received"), default=dict, blank=True)
    consent_time = models.DateTimeField(_("consent given"), null=True, blank=True)

    score = models.PositiveSmallIntegerField(_("score"), default=0)
    quality_grade = models.CharField(_("grade"), max_length=1, default="D")
    lifecycle_stage = models.CharField(_("lifecycle stage"), max_length=40, blank=True)
    conversion_probability = models.FloatField(_("conversion probability"), null=True, blank=True)
    probability_pinned = models.BooleanField(_("probability set by hand"), default=False)

    created_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("created by"))
    created_via = models.CharField(_("created via"), max_length=10, blank=True)
    operation_id = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)

    name_key = models.GeneratedField(
        expression=Func(F("first_name"), Value(" "), F("last_name"), function="crm_fold_key"),
        output_field=models.TextField(),
        db_persist=True,
    )
    company_key = models.GeneratedField(
        expression=Func(F("company"), Value(""), Value(""), function="crm_fold_key"), output_field=models.TextField(), db_persist=True
    )
    search = models.GeneratedField(
        expression=Func("first_name", "last_name", "company", "title", "email", "phone", "tags", "notes", function="leads_search_vector"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = LeadManager()  # type: ignore[misc, django-manager-missing]

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions = [
            ("see_all_leads", "Can see all leads of the tenant"),
            ("assign_lead", "Can give leads to others"),
            ("import_leads", "Can import leads"),
            ("export_leads", "Can export leads"),
            ("skip_transitions", "Can move leads past the allowed transitions"),
            ("hard_delete_lead", "Can delete leads for good"),
        ]
        indexes = [
            *[_sort_index(column) for column in ("updated_at", "score", "name_key", "company_key")],
            *[_sort_index(column) for column in ("next_follow_up_at", "last_contact_at", "conversion_probability", "priority")],
            # These two hold the facets beside the order, so that a list passes over what it does not want, and a total is
            # counted, without a look at the table. The second holds a rep's own and the unassigned side by side.
            models.Index(fields=["tenant", "created_at", "id"], include=_FACETS, name="leads_newest", condition=_LIVE),
            models.Index(fields=["tenant", "owner", "created_at", "id"], include=_FACETS, name="leads_by_owner", condition=_LIVE),
            models.Index(fields=["tenant", "status", "created_at", "id"], name="leads_by_status", condition=_LIVE),
            models.Index(fields=["tenant", "lead_source", "created_at", "id"], name="leads_by_source", condition=_LIVE),
            models.Index(fields=["tenant", "industry", "created_at", "id"], name="leads_by_industry", condition=_LIVE),
            # Several filters at once: PostgreSQL skips over the columns that are not asked for.
            models.Index(
                fields=["tenant", "status", "priority", "lead_source", "industry", "platform_key"], name="leads_by_facets", condition=_LIVE
            ),
            models.Index(
                fields=["tenant", "owner", "next_follow_up_at", "id"],
                name="leads_due",
                condition=_LIVE & Q(next_follow_up_at__isnull=False),
            ),
            models.Index(fields=["tenant", "email_key"], name="leads_by_email", condition=_LIVE & ~Q(email_key="")),
            models.Index(fields=["tenant", "phone"], name="leads_by_phone", condition=_LIVE & ~Q(phone="")),
            models.Index(fields=["tenant", "deleted_at", "id"], name="leads_bin", condition=Q(deleted_at__isnull=False)),
            models.Index(fields=["tenant", "operation_id", "id"], name="leads_by_operation", condition=Q(operation_id__isnull=False)),
            GinIndex(fields=["tenant", "search"], name="leads_search"),
            GinIndex(fields=["tenant", "tags"], name="leads_tags"),
            GinIndex(fields=["tenant", "custom_fields"], opclasses=["int8_ops", "jsonb_path_ops"], name="leads_custom_fields"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(score__lte=100), name="leads_score_range"),
            models.CheckConstraint(
                condition=Q(conversion_probability=None) | Q(conversion_probability__gte=0, conversion_probability__lte=1),
                name="leads_probability_range",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def display_name(self) -> str:
        """What a list shows for a lead that may have no name."""
        return self.full_name or self.company or self.email or self.phone or str(_("Unnamed lead"))


@track()
class LeadShare(TenantOwned):
    """A lead shown to a user or team beside its owner."""

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="shares")
    user = TenantForeignKey(User, models.CASCADE, null=True, blank=True, related_name="+")
    team = TenantForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "lead"], name="leads_share_lead"),
            models.Index(fields=["tenant", "user", "lead"], name="leads_share_user"),
            models.Index(fields=["tenant", "team", "lead"], name="leads_share_team"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None, team__isnull=False) | Q(user__isnull=False, team=None), name="leads_share_one_receiver"
            ),
            models.UniqueConstraint(fields=["tenant", "lead", "user", "team"], nulls_distinct=False, name="leads_share_once"),
        ]

    def __str__(self) -> str:
        return f"{self.lead_id} → {self.user or self.team}"


class Arrival(TenantOwned):
    """One thing that came in at a door, as it came: document 1's `lead_meta` with the raw payload.

    `door` and `door_id` say who can read the payload: the kind of source, and the web form or source itself.
    """

    lead = TenantForeignKey(Lead, models.SET_NULL, null=True, related_name="arrivals")
    door = models.CharField(_("door"), max_length=12, default="website")
    door_id = models.BigIntegerField(null=True)
    platform_key = models.CharField(_("channel"), max_length=12, choices=Platform)
    source_lead_id = models.CharField(_("source's own id"), max_length=128)
    page_id = models.CharField(_("page id"), max_length=64, blank=True)
    form_id = models.CharField(_("form id"), max_length=64, blank=True)
    ad_id = models.CharField(_("ad id"), max_length=64, blank=True)
    campaign_id = models.CharField(_("campaign id"), max_length=64, blank=True)
    created_time = models.DateTimeField(_("created at the source"), null=True)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    page_url = models.CharField(_("page address"), max_length=512, blank=True)
    utm_source = models.CharField(max_length=100, blank=True)
    utm_medium = models.CharField(max_length=100, blank=True)
    utm_campaign = models.CharField(max_length=150, blank=True)
    utm_term = models.CharField(max_length=100, blank=True)
    utm_content = models.CharField(max_length=100, blank=True)
    processing_status = models.CharField(_("state"), max_length=9, choices=ProcessingStatus, default=ProcessingStatus.RECEIVED)
    was_duplicate = models.BooleanField(_("joined an existing lead"), default=False)
    payload = models.JSONField(_("as received"), default=dict)
    error = models.CharField(_("what is wrong"), max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "platform_key", "source_lead_id"], name="leads_arrival_once")]
        indexes = [
            models.Index(fields=["tenant", "lead", "-id"], name="leads_arrival_lead"),
            models.Index(fields=["tenant", "-id"], name="leads_arrival_newest"),
            models.Index(fields=["tenant", "door", "door_id", "-id"], name="leads_arrival_door"),
            models.Index(
                fields=["tenant", "processing_status", "-id"], name="leads_arrival_open", condition=~Q(processing_status="processed")
            ),
            models.Index(fields=["tenant", "received_at"], name="leads_arrival_received"),
        ]

    def __str__(self) -> str:
        return f"{self.platform_key} {self.source_lead_id}"

    @property
    def outcome(self) -> str:
        """What became of it: received, created, merged (it joined a known lead), or failed."""
        if self.processing_status != ProcessingStatus.PROCESSED:
            return str(self.processing_status)
        return "merged" if self.was_duplicate else "created"


@track()
class WebForm(TenantOwned):
    """A form on a website, or any source that posts leads: its key, where it may be posted from, what its leads start with."""

    name = models.CharField(_("name"), max_length=80)
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("allowed origins"),
        default=list,
        blank=True,
        help_text=_("Empty: any. For example https://www.example.com"),
    )
    lead_source = models.CharField(_("source"), max_length=60, blank=True, default="Website")
    default_owner = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("give leads to"))
    tags = ArrayField(models.CharField(max_length=50), verbose_name=_("tags"), default=list, blank=True)
    redirect_url = models.CharField(_("go to afterwards"), max_length=300, blank=True)
    hourly_limit = models.PositiveIntegerField(_("most leads an hour"), default=1000)
    signing_secret = models.CharField(max_length=64, blank=True, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="leads_webform_name")]

    def __str__(self) -> str:
        return self.name


class FormKey(models.Model):
    """The public key of a web form. Unpoliced: the tenant is found by it; it holds no customer data."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    form = models.OneToOneField(WebForm, models.CASCADE, related_name="key", db_constraint=False)
    key = models.CharField(max_length=40, unique=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "form"], name="leads_formkey_form")]

    def __str__(self) -> str:
        return self.key


class ImportMapping(TenantOwned):
    """How the last file with these headers was mapped: header → field. `fingerprint` is the layout's."""

    fingerprint = models.CharField(max_length=32)
    mapping = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "fingerprint"], name="leads_importmapping_headers")]

    def __str__(self) -> str:
        return self.fingerprint


class LeadCount(TenantOwned):
    """A ledger of live leads by their common facets, kept by a statement trigger and folded by beat.

    The number of leads with some of these facets is the sum of `leads` over the matching rows: exact inside any transaction.
    """

    status_id = models.BigIntegerField()
    owner_id = models.BigIntegerField(null=True)
    priority = models.PositiveSmallIntegerField()
    lead_source = models.CharField(max_length=60)
    leads = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "owner_id"], name="leads_count_owner")]

    def __str__(self) -> str:
        return f"{self.leads}"
