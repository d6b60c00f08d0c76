"""Django's authentication backend: by e-mail, permissions from roles."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from crm.errors import DomainError
from crm.identity.models import User


class RoleBackend(BaseBackend):
    """Lets the admin's own sign-in form use the same lock-out, and `user.has_perm` the same roles, as every other door."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any) -> User | None:
        from crm.identity.services.signin import check_password_of

        if not username or password is None:
            return None
        try:
            return check_password_of(email=username, password=password)
        except DomainError:
            return None

    def get_user(self, user_id: int) -> User | None:
        return User.identities.filter(pk=user_id, is_active=True).select_related("tenant").first()
