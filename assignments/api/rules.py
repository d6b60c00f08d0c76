"""The assignment rules of the tenant: list, add, read, change, order and delete (decision G4)."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assignments.enums import Fallback, Method
from assignments.models import AssignmentRule
from assignments.permissions import RULES
from assignments.selectors import current_version, find_rule, rules_in_order
from assignments.services.rules import RuleSettings, change_rule, delete_rule, order_rules, save_rule
from crm.actors import Actor
from crm.errors import NotFound
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from leads.services.conditions import without_hidden

_TAGS = ["assignment rules"]


def _key() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, allow_null=True)


def _limit() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True)


class TerritoryIn(InputSerializer):
    country = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    state = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    city = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    users = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), min_length=1, max_length=500)


class RuleIn(InputSerializer):
    name = serializers.CharField(max_length=80)
    is_active = serializers.BooleanField(required=False)
    conditions = serializers.JSONField(required=False, allow_null=True)
    method = WordChoiceField(Method.choices, required=False)
    user_id = _key()
    team_id = _key()
    pool_id = _key()
    territories = TerritoryIn(many=True, required=False)
    per_day = _limit()
    in_total = _limit()
    heed_shifts = serializers.BooleanField(required=False)
    fallback = WordChoiceField(Fallback.choices, required=False)
    fallback_user_id = _key()


class RuleOrderIn(InputSerializer):
    rule_ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=100)


def rule_out(rule: AssignmentRule, by: Actor) -> dict[str, Any]:
    """A rule as somebody may have it: conditions on fields hidden from them say only that they are there."""
    same = (
        "id", "name", "position", "is_active", "conditions", "method", "user_id", "team_id", "pool_id", "territories", "per_day", "in_total",
        "heed_shifts", "fallback", "fallback_user_id", "created_at",
    )  # fmt: skip
    return {**{name: getattr(rule, name) for name in same}, "conditions": without_hidden(tree=rule.conditions, by=by)}


_INT = serializers.IntegerField
_RULE = {
    "id": _INT(),
    "name": serializers.CharField(),
    "position": _INT(),
    "is_active": serializers.BooleanField(),
    "conditions": serializers.JSONField(allow_null=True),
    "method": serializers.CharField(),
    "user_id": _INT(allow_null=True),
    "team_id": _INT(allow_null=True),
    "pool_id": _INT(allow_null=True),
    "territories": serializers.ListField(child=serializers.DictField()),
    "per_day": _INT(allow_null=True),
    "in_total": _INT(allow_null=True),
    "heed_shifts": serializers.BooleanField(),
    "fallback": serializers.CharField(),
    "fallback_user_id": _INT(allow_null=True),
    "created_at": serializers.DateTimeField(),
}
_ONE, _MANY = described("AssignmentRule", _RULE), described("AssignmentRule", _RULE, many=True)


class RulesView(ApiView):
    """All rules in the order in which they are asked."""

    capabilities: ClassVar[dict[str, str]] = {"get": RULES, "post": RULES, "put": RULES}

    @extend_schema(responses={200: _MANY}, tags=_TAGS, summary="List assignment rules", operation_id="assignment_rules_list")
    def get(self, request: Request) -> Response:
        return success(request, [rule_out(rule, self.actor) for rule in rules_in_order()], version=current_version())

    @extend_schema(request=RuleIn, responses={201: _ONE}, tags=_TAGS, summary="Add an assignment rule")
    def post(self, request: Request) -> Response:
        rule = save_rule(wanted=RuleSettings(**_plain(read(RuleIn, request.data))), by=self.actor)
        return success(request, rule_out(rule, self.actor), message="Rule added", status=201)

    @extend_schema(
        request=RuleOrderIn,
        responses={200: _MANY},
        tags=_TAGS,
        summary="Put the assignment rules in order",
        operation_id="assignment_rules_order",
    )
    def put(self, request: Request) -> Response:
        rules = order_rules(rule_ids=read(RuleOrderIn, request.data)["rule_ids"], by=self.actor)
        return success(request, [rule_out(rule, self.actor) for rule in rules], version=current_version())


class RuleView(ApiView):
    """One rule."""

    capabilities: ClassVar[dict[str, str]] = {"get": RULES, "put": RULES, "patch": RULES, "delete": RULES}

    @extend_schema(responses={200: _ONE}, tags=_TAGS, summary="Read an assignment rule", operation_id="assignment_rules_read")
    def get(self, request: Request, id: str) -> Response:
        return success(request, rule_out(self.rule(id), self.actor))

    @extend_schema(request=RuleIn, responses={200: _ONE}, tags=_TAGS, summary="Change an assignment rule")
    def put(self, request: Request, id: str) -> Response:
        changes = _plain(read(RuleIn, request.data, partial=True))
        rule = change_rule(rule_id=parse_id(id), changes=changes, by=self.actor)
        return success(request, rule_out(rule, self.actor), message="Rule changed")

    @extend_schema(request=RuleIn, responses={200: _ONE}, tags=_TAGS, summary="Change an assignment rule in part")
    def patch(self, request: Request, id: str) -> Response:
        return self.put(request, id)

    @extend_schema(responses={200: described("Deleted", {"id": _INT()})}, tags=_TAGS, summary="Delete an assignment rule")
    def delete(self, request: Request, id: str) -> Response:
        rule = self.rule(id)
        delete_rule(rule_id=rule.pk, by=self.actor)
        return success(request, {"id": rule.pk}, message="Rule deleted")

    def rule(self, id: str) -> AssignmentRule:
        rule = find_rule(parse_id(id))
        if rule is None:
            raise NotFound("No such rule.")
        return rule


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    if "territories" in body:
        body["territories"] = [dict(item) for item in body["territories"]]
    return body
