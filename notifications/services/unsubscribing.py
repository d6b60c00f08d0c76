"""The link at the foot of a mail that stops mails of its kind, without signing in."""

from django.conf import settings
from django.core import signing

from crm.identity.models import User
from crm.tenancy.scope import tenant_scope
from notifications.enums import ByMail
from notifications.models import Habits, Preference
from notifications.registry import kind_named

# What stands for the morning's summary where a kind is named.
DIGEST = "digest"
_SALT = "notifications.unsubscribe"


def unsubscribe_link(*, user: User, kind: str) -> str:
    token = signing.dumps([user.tenant_id, user.pk, kind], salt=_SALT)
    return f"{settings.SITE_URL}/unsubscribe/{token}"


def read_token(token: str) -> tuple[int, int, str] | None:
    """Tenant, user and kind of a link that this site made; None for anything else. Links do not expire: old mails must work."""
    try:
        tenant_id, user_id, kind = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return tenant_id, user_id, kind


def stop_mails(*, token: str) -> bool:
    """Mail this kind to this person no more. Doing it twice changes nothing. False for a link that is none of ours."""
    found = read_token(token)
    if found is None:
        return False
    tenant_id, user_id, kind = found
    with tenant_scope(tenant_id):
        if not User.objects.filter(pk=user_id).exists():
            return False
        if kind == DIGEST:
            Habits.objects.update_or_create(user_id=user_id, defaults={"digest": False})
        elif kind_named(kind) is not None:
            Preference.objects.update_or_create(user_id=user_id, kind=kind, defaults={"by_mail": ByMail.NEVER})
    return True
