"""How templates show activities."""

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from activities.services.mentions import MARK, plain_text

register = template.Library()

_ICONS = {
    "call": "phone",
    "email": "mail",
    "meeting": "users",
    "note": "sticky-note",
    "status_change": "arrow-right-left",
    "assignment": "user-plus",
    "follow_up": "bell",
    "task": "circle-check",
    "sms": "message-square",
    "system": "settings",
}
_WORDS = {
    "call_made": _("called"),
    "call_planned": _("planned a call"),
    "email_sent": _("sent an e-mail"),
    "email_planned": _("planned an e-mail"),
    "meeting_held": _("met"),
    "meeting_scheduled": _("planned a meeting"),
    "note_added": _("wrote a note"),
    "status_changed": _("noted a change of status"),
    "lead_assigned": _("noted an assignment"),
    "follow_up_completed": _("followed up"),
    "follow_up_scheduled": _("follow-up"),
    "task_completed": _("did a task"),
    "task_created": _("task"),
    "sms_sent": _("sent a text message"),
    "sms_planned": _("planned a text message"),
    "system_event": _("noted"),
}


@register.filter
def activity_icon(kind: str) -> str:
    return _ICONS.get(kind, "history")


@register.filter
def activity_word(word: str) -> object:
    """What a person did, in the words of the timeline."""
    return _WORDS.get(word, word)


@register.filter
def mentions(text: str) -> SafeString:
    """A text with the people named in it marked, and everything else escaped."""
    pieces: list[str] = []
    end = 0
    for found in MARK.finditer(text):
        pieces += [conditional_escape(text[end : found.start()]), format_html('<span class="mention">@{}</span>', found[1])]
        end = found.end()
    pieces.append(conditional_escape(text[end:]))
    return mark_safe("".join(pieces).replace("\n", "<br>"))  # noqa: S308 -- every piece is escaped above


@register.filter
def plain(text: str) -> str:
    """A text with the names in it as people read them, to be cut or put into an attribute."""
    return plain_text(text)
