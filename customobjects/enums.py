"""Kinds of custom fields."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class FieldKind(models.TextChoices):
    TEXT = "text", _("Text")
    NUMBER = "number", _("Number")
    MONEY = "money", _("Money")
    DATE = "date", _("Date")
    CHOICE = "choice", _("Choice")
    MULTI_CHOICE = "multi_choice", _("Several choices")
    USER = "user", _("User")
    URL = "url", _("Web address")
    CHECKBOX = "checkbox", _("Checkbox")


CHOOSING = (FieldKind.CHOICE, FieldKind.MULTI_CHOICE)
# Kinds whose value can be one record's alone.
CAN_BE_UNIQUE = (FieldKind.TEXT, FieldKind.NUMBER, FieldKind.DATE, FieldKind.URL)
COLOURS = ("grey", "red", "yellow", "green", "blue", "violet")
