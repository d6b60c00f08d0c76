"""Bodies of the identity endpoints."""

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.identity.models import Role, Team, User
from crm.rest.serializers import InputSerializer

# Longer ones would only buy time at the password hasher.
LONGEST_PASSWORD = 128


def email_field(**kwargs: Any) -> serializers.EmailField:
    return serializers.EmailField(max_length=100, **kwargs)


def password_field(**kwargs: Any) -> serializers.CharField:
    return serializers.CharField(max_length=LONGEST_PASSWORD, trim_whitespace=False, **kwargs)


def text_field(longest: int, **kwargs: Any) -> serializers.CharField:
    return serializers.CharField(max_length=longest, **{"required": False, "allow_blank": True, **kwargs})


class OfTenant(serializers.PrimaryKeyRelatedField):  # type: ignore[type-arg]
    """A record of the open tenant by its id. Another tenant's is unknown."""

    def __init__(self, model: Any = None, **kwargs: Any) -> None:
        self.model = model
        super().__init__(queryset=model.objects.all() if model is not None else None, **kwargs)

    def get_queryset(self) -> Any:
        return self.model.objects.all()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not str(data).isascii() or not str(data).isdigit() or len(str(data)) > 18:
            self.fail("incorrect_type", data_type=type(data).__name__)
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class RoleField(serializers.Field):  # type: ignore[type-arg]
    """A role by its id or its code, such as `manager`."""

    default_error_messages: ClassVar[dict[str, str]] = {"unknown": "There is no such role."}

    def to_internal_value(self, data: Any) -> Role:
        text = str(data).strip()
        if not isinstance(data, int | str) or isinstance(data, bool) or "\x00" in text or len(text) > 60:
            self.fail("unknown")
        if text.isascii() and text.isdigit():
            role = Role.objects.filter(pk=int(text)).first() if len(text) <= 18 else None
        else:
            role = Role.objects.filter(code=text.lower().replace(" ", "_")).first()
        if role is None:
            self.fail("unknown")
        return role

    def to_representation(self, value: Any) -> Any:
        return value


class RegisterIn(InputSerializer):
    username = serializers.CharField(
        max_length=50, validators=[RegexValidator(r"^[\w.@+-]+\Z", "Letters, digits and . @ + - _ only, without spaces.")]
    )
    email = email_field()
    password = password_field()
    first_name = serializers.CharField(max_length=50)
    last_name = text_field(50)
    phone = text_field(30)
    company = text_field(100, help_text="Names the new tenant. Not needed with an invitation.")
    invitation_token = text_field(300, help_text="The token of an invitation's link: joins that tenant in the invited role.")


class LoginIn(InputSerializer):
    email = email_field()
    password = password_field()


class VerifyIn(InputSerializer):
    email = email_field()
    otp = serializers.CharField(max_length=12, help_text="The six digits of the mail. `code` is read as well.")
    user_id = serializers.IntegerField(required=False, min_value=1, help_text="As signing up answered it: the code must be this one's.")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and "otp" not in data and "code" in data:
            data = {**data, "otp": data["code"]}
        return super().to_internal_value(data)


class EmailIn(InputSerializer):
    email = email_field()


class RefreshIn(InputSerializer):
    refresh_token = serializers.CharField(max_length=200)


class ConfirmIn(InputSerializer):
    token = serializers.CharField(max_length=200)
    password = password_field()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and "password" not in data:
            given = data.get("new_password", data.get("newPassword"))
            data = {**data, "password": given} if given is not None else data
        return super().to_internal_value(data)


class ChangePasswordIn(InputSerializer):
    current_password = password_field()
    new_password = password_field()


class ValidateIn(InputSerializer):
    token = serializers.CharField(max_length=2000, required=False, help_text="An access token; the caller's own where it is left out.")


class InviteIn(InputSerializer):
    email = email_field()
    role = RoleField(help_text="A role's id or code.")
    team_id = OfTenant(Team, required=False, allow_null=True, default=None)


class UserIn(InputSerializer):
    first_name = serializers.CharField(max_length=50, required=False)
    last_name = text_field(50)
    phone = text_field(30)
    time_zone = text_field(64)
    theme = serializers.ChoiceField(["", "light", "dark"], required=False)
    role = RoleField(required=False, help_text="A role's id or code.")
    is_active = serializers.BooleanField(required=False)


class ProfileIn(InputSerializer):
    first_name = serializers.CharField(max_length=50, required=False)
    last_name = text_field(50)
    phone = text_field(30)


class PreferencesIn(InputSerializer):
    time_zone = text_field(64, help_text="Such as Europe/London; empty follows the tenant.")
    theme = serializers.ChoiceField(["", "light", "dark"], required=False)


class RoleGrantIn(InputSerializer):
    role = RoleField(help_text="A role's id or code.")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and "role" not in data:
            given = data.get("role_id", data.get("roleId"))
            data = {**data, "role": given} if given is not None else data
        return super().to_internal_value(data)


class TeamIn(InputSerializer):
    name = serializers.CharField(max_length=80)
    description = text_field(200)
    manager_id = OfTenant(User, required=False, allow_null=True)
    member_ids = serializers.ListField(child=OfTenant(User), required=False, max_length=1000)


class MemberIn(InputSerializer):
    user_id = OfTenant(User)


class RoleIn(InputSerializer):
    name = serializers.CharField(max_length=60)
    description = text_field(200)
    permissions = serializers.ListField(child=serializers.CharField(max_length=100), max_length=500)


class ApiKeyIn(InputSerializer):
    name = serializers.CharField(max_length=80)
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        max_length=500,
        help_text="What the key may do; empty: all that its maker may.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


def week_field(**options: Any) -> serializers.DictField:
    """Working hours as they are stored: opening and closing time per weekday."""
    clock = serializers.RegexField(r"^([01]\d|2[0-3]):[0-5]\d\Z")
    span = serializers.ListField(child=clock, min_length=2, max_length=2)
    return serializers.DictField(child=span, help_text='Per weekday, 0 = Monday: {"0": ["09:00", "17:00"]}.', **options)


class TenantIn(InputSerializer):
    display_name = text_field(150)
    region = serializers.CharField(max_length=2, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    currency = serializers.CharField(max_length=3, required=False)
    working_hours = week_field(required=False)
    open_form = serializers.BooleanField(required=False)
