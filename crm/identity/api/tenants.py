"""The caller's own tenant: S4-237, S4-238, S4-240 to S4-242."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import NotFound
from crm.identity.api import inputs
from crm.identity.api.output import CONFIG, TENANT, config_out, tenant_out
from crm.identity.services.tenants import update_tenant
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import read
from crm.rest.views import ApiView, parse_id
from crm.tenancy.models import Tenant

_TAGS = ["tenants"]


class OwnTenantView(ApiView):
    """Base: the open tenant is the only one there is."""

    capabilities: ClassVar[dict[str, str]] = {
        "get": "tenancy.view_tenant",
        "put": "tenancy.change_tenant",
        "patch": "tenancy.change_tenant",
    }

    def tenant(self, id: str) -> Tenant:
        if parse_id(id) != self.actor.tenant_id:
            raise NotFound("No such tenant.")
        return Tenant.objects.get(pk=self.actor.tenant_id)

    def changed(self, request: Request, id: str) -> Tenant:
        return update_tenant(tenant=self.tenant(id), data=read(inputs.TenantIn, request.data, partial=True), by=self.actor)


class TenantsView(OwnTenantView):
    """The tenants the caller belongs to: one."""

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Tenant", TENANT, many=True)},
        tags=_TAGS,
        summary="List tenants",
        operation_id="tenants_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, Tenant.objects.filter(pk=self.actor.tenant_id), tenant_out)


class TenantView(OwnTenantView):
    """The tenant with its settings."""

    @extend_schema(responses={200: described("Tenant", TENANT)}, tags=_TAGS, summary="Read a tenant")
    def get(self, request: Request, id: str) -> Response:
        return success(request, tenant_out(self.tenant(id)))

    @extend_schema(request=inputs.TenantIn, responses={200: described("Tenant", TENANT)}, tags=_TAGS, summary="Change a tenant")
    def put(self, request: Request, id: str) -> Response:
        return success(request, tenant_out(self.changed(request, id)))

    patch = put


class TenantConfigView(OwnTenantView):
    """The tenant's settings alone."""

    @extend_schema(responses={200: described("TenantConfig", CONFIG)}, tags=_TAGS, summary="Read a tenant's settings")
    def get(self, request: Request, id: str) -> Response:
        return success(request, config_out(self.tenant(id)))

    @extend_schema(
        request=inputs.TenantIn, responses={200: described("TenantConfig", CONFIG)}, tags=_TAGS, summary="Change a tenant's settings"
    )
    def put(self, request: Request, id: str) -> Response:
        return success(request, config_out(self.changed(request, id)))

    patch = put
