"""Endpoints of sources, the connections leads come in by: settings, keys, mappings."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput, NotFound
from crm.identity.models import User
from crm.identity.selectors import active_users
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from webhooks.api.arrivals import trial_out
from webhooks.api.description import MAPPING, RULE, SOURCE, WOULD_BECOME
from webhooks.enums import SourceKind
from webhooks.models import FieldMapping, Source
from webhooks.permissions import SOURCES
from webhooks.selectors import address_of, arrivals_of_source, failed_by_source, find_source, sources_overview
from webhooks.services.options import clean_options, shown_options
from webhooks.services.sources import SourceSettings, delete_source, rotate_key, save_mapping, save_source, set_signing
from webhooks.services.workbench import try_rules

_TAGS = ["sources"]


class SourceChangeIn(InputSerializer):
    """What a source is set to."""

    name = serializers.CharField(max_length=80)
    external_id = serializers.CharField(required=False, allow_blank=True, max_length=254)
    token = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=2000,
        write_only=True,
        help_text="The page's access token, the mailbox's password. Empty forgets it, null keeps it",
    )
    options = serializers.DictField(required=False)
    lead_source = serializers.CharField(required=False, allow_blank=True, max_length=60)
    default_owner_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False, max_length=50)
    is_active = serializers.BooleanField(required=False)


class SourceIn(SourceChangeIn):
    """A new source."""

    kind = WordChoiceField(SourceKind.choices)


class SigningIn(InputSerializer):
    on = serializers.BooleanField()


@extend_schema_field(component("MappingRule", RULE, many=True))
class RulesField(serializers.JSONField):
    """Rules as they come; the service names the one that is wrong."""


class MappingIn(InputSerializer):
    form_id = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")
    form_name = serializers.CharField(required=False, allow_blank=True, max_length=150, default="")
    rules = RulesField()


class MappingTestIn(InputSerializer):
    """An arrival of the source or a payload as it might send one; the present rules where none are given."""

    arrival_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    payload = serializers.DictField(required=False)
    rules = RulesField(required=False)
    form_id = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")


def source_out(source: Source, failed: int) -> dict[str, Any]:
    """A source as the API answers it. Its token and signing secret are never answered."""
    same = ("name", "external_id", "lead_source", "tags", "is_active", "created_at", "checked_at", "last_error_at")
    return {
        "id": source.pk,
        "kind": source.kind,
        **{name: getattr(source, name) for name in same},
        "address": address_of(source),
        "options": shown_options(source.kind, source.options),
        "default_owner_id": source.default_owner_id,
        "has_token": bool(source.token),
        "signing": bool(source.signing_secret),
        "last_error": source.last_error or None,
        "last_arrival_at": getattr(source, "last_arrival_at", None),
        "failed_arrivals": failed,
    }


def mapping_out(mapping: FieldMapping) -> dict[str, Any]:
    return {name: getattr(mapping, name) for name in ("form_id", "form_name", "rules", "updated_at")}


def wanted_settings(kind: str, body: dict[str, Any], source: Source | None) -> SourceSettings:
    """What a source is to be set to: what the body names, over what it is set to now."""
    try:
        options = clean_options(kind, body.get("options", {}), before=source.options if source else None)
    except InvalidInput as refusal:
        raise InvalidInput({f"options.{name}": texts for name, texts in refusal.problems.items()}) from None
    before = {name: getattr(source, name) for name in ("name", "external_id", "lead_source", "tags", "is_active")} if source else {}
    given = {name: body[name] for name in ("name", "external_id", "lead_source", "tags", "is_active") if name in body}
    owner = source.default_owner if source else None
    if "default_owner_id" in body:
        owner = _owner(body["default_owner_id"])
    return SourceSettings(**{**before, **given}, options=options, token=body.get("token"), default_owner=owner)


def _owner(pk: int | None) -> User | None:
    if pk is None:
        return None
    owner = active_users().filter(pk=pk).first()
    if owner is None:
        raise InvalidInput({"default_owner_id": ["No such active user."]})
    return owner


class SourcesView(ApiView):
    """All sources, and making one."""

    capabilities: ClassVar[dict[str, str]] = {"get": SOURCES, "post": SOURCES}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Source", SOURCE, many=True)},
        tags=_TAGS,
        summary="List sources",
        operation_id="sources_list",
    )
    def get(self, request: Request) -> Response:
        failed = failed_by_source()
        return paged(request, sources_overview(), lambda source: source_out(source, failed.get(source.pk, 0)))

    @extend_schema(request=SourceIn, responses={201: described("Source", SOURCE)}, tags=_TAGS, summary="Connect a source")
    def post(self, request: Request) -> Response:
        body = read(SourceIn, request.data)
        kind = SourceKind(body["kind"])
        made = save_source(kind=kind, source=None, wanted=wanted_settings(kind, body, None), by=self.actor)
        return success(request, self._out(made.pk), status=201)

    @staticmethod
    def _out(pk: int) -> dict[str, Any]:
        source = find_source(pk)
        assert source is not None
        return source_out(source, 0)


class OneSourceView(ApiView):
    """Base of views on one source."""

    def source(self, id: str) -> Source:
        source = find_source(parse_id(id))
        if source is None:
            raise NotFound("No such source.")
        return source

    def out(self, id: str) -> dict[str, Any]:
        source = self.source(id)
        return source_out(source, failed_by_source(source).get(source.pk, 0))


class SourceView(OneSourceView):
    """One source."""

    capabilities: ClassVar[dict[str, str]] = dict.fromkeys(("get", "put", "patch", "delete"), SOURCES)

    @extend_schema(responses={200: described("Source", SOURCE)}, tags=_TAGS, summary="Read a source")
    def get(self, request: Request, id: str) -> Response:
        return success(request, self.out(id))

    @extend_schema(request=SourceChangeIn, responses={200: described("Source", SOURCE)}, tags=_TAGS, summary="Change a source")
    def put(self, request: Request, id: str) -> Response:
        source, body = self.source(id), read(SourceChangeIn, request.data, partial=True)
        wanted = wanted_settings(source.kind, body, source)
        save_source(kind=SourceKind(source.kind), source=source, wanted=wanted, by=self.actor)
        return success(request, self.out(id))

    patch = put

    @extend_schema(responses={200: described("SourceDeleted", message=True)}, tags=_TAGS, summary="Disconnect a source")
    def delete(self, request: Request, id: str) -> Response:
        delete_source(source=self.source(id), by=self.actor)
        return success(request, None, message="It takes no more leads. What came in by it stays.")


class RotateKeyView(OneSourceView):
    """A new secret address; the old one stops at once."""

    capabilities: ClassVar[dict[str, str]] = {"post": SOURCES}

    @extend_schema(request=None, responses={200: described("Source", SOURCE)}, tags=_TAGS, summary="Give a source a new address")
    def post(self, request: Request, id: str) -> Response:
        rotate_key(source=self.source(id), by=self.actor)
        return success(request, self.out(id))


class SigningView(OneSourceView):
    """Ask the sender for signatures, or no longer. The secret is answered this once."""

    capabilities: ClassVar[dict[str, str]] = {"post": SOURCES}

    @extend_schema(
        request=SigningIn,
        responses={
            200: described("Signing", {"signing": serializers.BooleanField(), "secret": serializers.CharField(allow_null=True)}),
        },
        tags=_TAGS,
        summary="Ask a source for signatures",
    )
    def post(self, request: Request, id: str) -> Response:
        source = self.source(id)
        secret = set_signing(source=source, on=read(SigningIn, request.data)["on"], by=self.actor)
        return success(request, {"signing": bool(secret), "secret": secret or None})


class MappingsView(OneSourceView):
    """How the fields of a source's forms are read."""

    capabilities: ClassVar[dict[str, str]] = {"get": SOURCES, "put": SOURCES}

    @extend_schema(
        responses={200: described("Mapping", MAPPING, many=True)},
        tags=_TAGS,
        summary="List a source's mappings",
        operation_id="sources_mappings_list",
    )
    def get(self, request: Request, id: str) -> Response:
        return success(request, [mapping_out(mapping) for mapping in FieldMapping.objects.filter(source=self.source(id))])

    @extend_schema(request=MappingIn, responses={200: described("Mapping", MAPPING)}, tags=_TAGS, summary="Set the mapping of a form")
    def put(self, request: Request, id: str) -> Response:
        source = self.source(id)
        return success(request, mapping_out(save_mapping(source=source, **read(MappingIn, request.data), by=self.actor)))


class MappingTestView(OneSourceView):
    """What an arrival or a payload would become. Nothing is kept."""

    capabilities: ClassVar[dict[str, str]] = {"post": SOURCES}

    @extend_schema(request=MappingTestIn, responses={200: described("WouldBecome", WOULD_BECOME)}, tags=_TAGS, summary="Try a mapping")
    def post(self, request: Request, id: str) -> Response:
        source, body = self.source(id), read(MappingTestIn, request.data)
        arrival = None
        if "arrival_id" in body:
            arrival = arrivals_of_source(source).filter(pk=body["arrival_id"]).first()
            if arrival is None:
                raise NotFound("No such arrival of this source.", field="arrival_id")
        trial = try_rules(
            source=source, rules=body.get("rules"), form_id=body["form_id"], arrival=arrival, payload=body.get("payload"), by=self.actor
        )
        return success(request, trial_out(trial))
