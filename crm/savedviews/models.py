"""Saved views of lists."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import Team, User
from crm.savedviews.enums import Audience
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned


@track()
class SavedView(TenantOwned):
    """A list as somebody left it: `query` holds the parameters of its address, that is filters, sort, columns and grouping.

    `list_name` is the list's name in the registry. A view is the default for the roles in `default_for`.
    """

    list_name = models.CharField(_("list"), max_length=40)
    name = models.CharField(_("name"), max_length=60)
    query = models.JSONField(_("state of the list"), default=dict)
    audience = models.CharField(_("who sees it"), max_length=8, choices=Audience, default=Audience.PRIVATE)
    team = TenantForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("team"))
    owner = TenantForeignKey(User, models.CASCADE, related_name="saved_views", verbose_name=_("made by"))
    is_pinned = models.BooleanField(_("pinned to the sidebar"), default=False)
    default_for = ArrayField(models.CharField(max_length=40), verbose_name=_("default for roles"), default=list, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "name", "id"]
        verbose_name = _("saved view")
        permissions = [("share_view", "Can share saved views with everyone")]
        indexes = [models.Index(fields=["tenant", "list_name", "position"], name="savedviews_list")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(audience=Audience.TEAM) | models.Q(team__isnull=False), name="savedviews_team_named"
            ),
            models.UniqueConstraint(fields=["tenant", "owner", "list_name", "name"], name="savedviews_name"),
        ]

    def __str__(self) -> str:
        return self.name
