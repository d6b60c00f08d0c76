"""The tenant's own settings of the dialer: its telephone company, and when anybody may be called."""

import re
import secrets
from collections.abc import Mapping
from datetime import time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.sealed import seal
from crm.tenancy.scope import current_scope, current_tenant_id
from dialer.enums import LIVE, ProviderName
from dialer.models import Call, DialerSettings, VoiceKey
from dialer.permissions import CONFIGURE
from dialer.services.telephony.base import Provider
from dialer.services.telephony.simulator import Simulator
from dialer.services.telephony.twilio import Twilio
from dialer.services.waking import look_again

_MEMO = "dialer.settings"
_PLAIN = (
    "provider", "account_sid", "caller_id", "window_start", "window_end", "window_days", "most_calls_a_day", "most_abandoned", "record_calls",
    "keep_recordings_days",
)  # fmt: skip
_WINDOW = frozenset({"window_start", "window_end", "window_days", "most_calls_a_day"})
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SID = re.compile(r"AC[0-9a-fA-F]{32}")


def settings_now() -> DialerSettings:
    """The open tenant's settings, read once for the work in progress; unsaved defaults where it has none."""
    memo = current_scope().memo
    if _MEMO not in memo:
        memo[_MEMO] = DialerSettings.objects.first() or DialerSettings(tenant_id=current_tenant_id())
    found: DialerSettings = memo[_MEMO]
    return found


def save_settings(*, values: Mapping[str, Any], by: Actor) -> DialerSettings:
    """Change the settings given. An `auth_token` is stored sealed, and an empty one leaves what is there. Raises InvalidInput by field."""
    by.require(CONFIGURE)
    with transaction.atomic():
        kept = DialerSettings.objects.select_for_update(of=("self",)).first() or DialerSettings(tenant_id=current_tenant_id())
        before = {name: getattr(kept, name) for name in _PLAIN}
        for name in _PLAIN:
            if name in values:
                setattr(kept, name, values[name])
        if values.get("auth_token"):
            kept.auth_token = seal(str(values["auth_token"]).strip())
        _check(kept)
        # Calls are ended, asked for and reported through who placed them.
        moved = [name for name in ("provider", "account_sid") if before[name] != getattr(kept, name)]
        if moved and Call.objects.filter(status__in=LIVE).exists():
            raise InvalidInput({moved[0]: ["Calls are under way: who places them can be changed once they are over."]})
        kept.save()
        if kept.provider == ProviderName.TWILIO:
            voice_key()
        current_scope().memo[_MEMO] = kept
        if any(before[name] != getattr(kept, name) for name in _WINDOW):
            look_again(now=timezone.now())
    return kept


def provider_of(settings: DialerSettings) -> Provider:
    """Who places the calls of a tenant."""
    if settings.provider == ProviderName.TWILIO:
        return Twilio(account_sid=settings.account_sid, sealed_token=settings.auth_token, key=voice_key())
    return Simulator(tenant_id=settings.tenant_id)


def voice_key() -> str:
    """The secret part of the addresses at which the open tenant's calls are reported, made when first asked for."""
    tenant_id = current_tenant_id()
    found, _made = VoiceKey.objects.get_or_create(tenant_id=tenant_id, defaults={"key": secrets.token_urlsafe(24)})
    return found.key


def _check(kept: DialerSettings) -> None:
    problems: dict[str, list[str]] = {}
    if kept.window_end != time(0) and kept.window_end <= kept.window_start:
        problems["window_end"] = ["The window ends after its start."]
    if any(day not in range(7) for day in kept.window_days):
        problems["window_days"] = ["Days are 0 (Monday) to 6."]
    if kept.caller_id and not _E164.fullmatch(kept.caller_id):
        problems["caller_id"] = ["Give the number with its country code, such as +14155550100."]
    if not 0 <= kept.most_abandoned <= 100:
        problems["most_abandoned"] = ["A share in percent, 0 to 100."]
    if not 1 <= kept.most_calls_a_day <= 100:
        problems["most_calls_a_day"] = ["1 to 100."]
    if not 1 <= kept.keep_recordings_days <= 3650:
        problems["keep_recordings_days"] = ["1 to 3,650 days."]
    if kept.provider == ProviderName.TWILIO:
        if not _SID.fullmatch(kept.account_sid):
            problems["account_sid"] = ["It begins with AC, and 32 digits and letters follow."]
        if not kept.auth_token:
            problems["auth_token"] = ["Twilio's auth token is needed."]
        if not kept.caller_id:
            problems.setdefault("caller_id", ["Twilio calls from a number of yours."])
    if problems:
        raise InvalidInput(problems)
    try:
        kept.clean_fields(exclude=["tenant"])
    except ValidationError as error:
        raise InvalidInput({name: list(texts) for name, texts in error.message_dict.items()}) from None
