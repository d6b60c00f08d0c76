"""Definitions of custom fields, and the values that one record alone may hold."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from crm.words import word_key
from customobjects.enums import CHOOSING, FieldKind

# Of a unique value so much counts.
UNIQUE_LENGTH = 300


@track()
class FieldDefinition(TenantOwned):
    """A field that a tenant added to a kind of record. Its values stand in the record's `custom_fields` under `key`.

    `model` is the label of the record's model, such as `leads.Lead`. `choices` are `{"value", "label", "color"}` in their order.
    `visible_to` and `editable_by` are codes of roles; empty means all of them.
    """

    model = models.CharField(_("records"), max_length=60)
    key = models.CharField(_("key"), max_length=50)
    label = models.CharField(_("name"), max_length=80)
    help_text = models.CharField(_("help"), max_length=200, blank=True)
    kind = models.CharField(_("kind"), max_length=12, choices=FieldKind)
    choices = models.JSONField(_("choices"), default=list, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    required = models.BooleanField(_("required"), default=False)
    unique = models.BooleanField(_("unique"), default=False)
    default = models.JSONField(_("default"), null=True, blank=True)
    visible_to = ArrayField(models.CharField(max_length=40), verbose_name=_("visible to"), default=list, blank=True)
    editable_by = ArrayField(models.CharField(max_length=40), verbose_name=_("editable by"), default=list, blank=True)
    in_list = models.BooleanField(_("offered as a column"), default=True)
    in_forms = models.BooleanField(_("shown in forms"), default=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name = _("custom field")
        verbose_name_plural = _("custom fields")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "model", "key"], name="customobjects_field_key"),
            models.CheckConstraint(condition=models.Q(key__regex=r"^[a-z][a-z0-9_]*$"), name="customobjects_field_key_form"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """What forms and filters call it."""
        return f"cf_{self.key}"

    @property
    def problem_name(self) -> str:
        """What refusals call it."""
        return f"custom_fields.{self.key}"

    @property
    def is_choosing(self) -> bool:
        return self.kind in CHOOSING

    def choice_of(self, word: str) -> dict[str, Any] | None:
        """The choice that a word names, by value or label, whatever its case."""
        key = word_key(word)
        by_value = (item for item in self.choices if item["value"] == word or word_key(item["value"]) == key)
        by_label = (item for item in self.choices if word_key(item["label"]) == key)
        return next(by_value, None) or next(by_label, None)


class UniqueValue(TenantOwned):
    """Who holds a value of a unique field. The unique key decides between two who want it at once."""

    definition = TenantForeignKey(FieldDefinition, models.CASCADE, related_name="+")
    value = models.CharField(_("value"), max_length=UNIQUE_LENGTH)
    record_id = models.BigIntegerField(_("record"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "definition", "value"], name="customobjects_value_once")]
        indexes = [models.Index(fields=["tenant", "definition", "record_id"], name="customobjects_value_holder")]

    def __str__(self) -> str:
        return f"{self.definition_id}: {self.value}"
