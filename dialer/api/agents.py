"""S2-10 and what belongs to it: calling agents with their hours, people and retry rules."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.description import component
from dialer.api.entries import MESSAGE, PAGE
from dialer.api.inputs import AgentIn, AgentsQuery, RulesIn
from dialer.api.output import AGENT, RULE, agent_out, rule_out
from dialer.api.surface import DialerView, read_body, read_query, read_uuid
from dialer.models import CallingAgent
from dialer.permissions import MANAGE
from dialer.selectors.queues import agents_visible_to, find_agent, with_settings
from dialer.services.agents import delete_agent, save_agent
from dialer.services.retry_rules import save_rules

_TAGS = ["calling agents"]
_AGENT = component("CallingAgent", AGENT)
# What an empty value of the API means to the model.
_EMPTY: dict[str, Any] = {"time_zone": "", "caller_id": "", "business_hours": {}}


def _values(body: dict[str, Any]) -> dict[str, Any]:
    return {name: _EMPTY.get(name) if value is None else value for name, value in body.items()}


class CallingAgentsView(DialerView):
    """S2-10, and a new agent."""

    @extend_schema(
        parameters=[AgentsQuery],
        responses={200: component("CallingAgentList", {"agents": component("CallingAgent", AGENT, many=True), **PAGE})},
        tags=_TAGS,
        summary="List calling agents",
        operation_id="agents_list",
    )
    def get(self, request: Request) -> Response:
        asked = read_query(AgentsQuery, request)
        agents = agents_visible_to(self.actor)
        if asked.get("search"):
            agents = agents.filter(name__icontains=asked["search"])
        skip, most = (asked["page"] - 1) * asked["per_page"], asked["per_page"]
        total = agents.count()
        page = with_settings(agents.order_by("name", "pk"))[skip : skip + most] if skip < total else []
        return Response({"agents": [agent_out(agent) for agent in page], "total": total, "page": asked["page"], "per_page": most})

    @extend_schema(request=AgentIn, responses={200: _AGENT}, tags=_TAGS, summary="Add a calling agent")
    def post(self, request: Request) -> Response:
        self.actor.require(MANAGE)
        agent = save_agent(agent_id=None, values=_values(read_body(AgentIn, request.data)), by=self.actor)
        return Response(agent_out(with_settings(CallingAgent.objects.filter(pk=agent.pk)).get()))


class CallingAgentView(DialerView):
    """One agent."""

    @extend_schema(responses={200: _AGENT}, tags=_TAGS, summary="Read a calling agent", operation_id="agents_read")
    def get(self, request: Request, agent_id: str) -> Response:
        return Response(agent_out(with_settings(CallingAgent.objects.filter(pk=self.agent(agent_id).pk)).get()))

    @extend_schema(request=AgentIn, responses={200: _AGENT}, tags=_TAGS, summary="Change a calling agent")
    def put(self, request: Request, agent_id: str) -> Response:
        agent = self.agent(agent_id)
        self.actor.require(MANAGE)
        save_agent(agent_id=agent.pk, values=_values(read_body(AgentIn, request.data, partial=True)), by=self.actor)
        return self.get(request, agent_id)

    @extend_schema(request=AgentIn, responses={200: _AGENT}, tags=_TAGS, summary="Change a calling agent in part")
    def patch(self, request: Request, agent_id: str) -> Response:
        return self.put(request, agent_id)

    @extend_schema(responses={200: component("DialerMessage", MESSAGE)}, tags=_TAGS, summary="Take a calling agent out of use")
    def delete(self, request: Request, agent_id: str) -> Response:
        delete_agent(agent_id=self.agent(agent_id).pk, by=self.actor)
        return Response({"message": "Agent deleted"})

    def agent(self, agent_id: str) -> CallingAgent:
        return find_agent(read_uuid(agent_id, name="agent_id"), actor=self.actor)


_RULES = component("RetryRules", {"retry_rules": component("RetryRule", RULE, many=True)})


class RetryRulesView(CallingAgentView):
    """What follows each result of a call."""

    http_method_names: ClassVar[list[str]] = ["get", "put", "options"]

    @extend_schema(responses={200: _RULES}, tags=_TAGS, summary="List an agent's retry rules", operation_id="agents_retry_rules")
    def get(self, request: Request, agent_id: str) -> Response:
        return Response({"retry_rules": [rule_out(rule) for rule in self.agent(agent_id).retry_rules.order_by("result")]})

    @extend_schema(request=RulesIn, responses={200: _RULES}, tags=_TAGS, summary="Set an agent's retry rules")
    def put(self, request: Request, agent_id: str) -> Response:
        agent = self.agent(agent_id)
        rules = save_rules(agent_id=agent.pk, rules=read_body(RulesIn, request.data)["retry_rules"], by=self.actor)
        return Response({"retry_rules": [rule_out(rule) for rule in rules]})
