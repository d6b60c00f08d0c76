"""The base of the Django admin: tenant-scoped, permission-aware, read-only unless it says otherwise, writing through services."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from import_export.admin import ExportMixin
from import_export.formats.base_formats import CSV, JSON
from import_export.forms import ExportForm
from import_export.resources import ModelResource, modelresource_factory

from crm.actors import Actor
from crm.errors import DomainError
from crm.identity.middleware import forget
from crm.registry import sections
from crm.text import safe_cell

# Beyond this many rows a list says how many there are at least; counting a million costs more than anybody gains.
COUNTED = 10_000
MOST_EXPORTED = 50_000


class CrmAdminSite(admin.AdminSite):
    """The admin of this install: signs in and out on the product's own pages."""

    site_header = site_title = "SalesMagnet"
    index_title = _("Administration")
    index_template = "admin/start.html"
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Leave out the framework's own groups: roles take their place."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        super().register([model for model in models if model._meta.app_label != "auth"], admin_class, **options)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send to the sign-in page. Somebody signed in who may not come here is told so."""
        if request.user.is_authenticated:
            raise PermissionDenied
        target = request.GET.get(REDIRECT_FIELD_NAME, reverse("admin:index"))
        return redirect(f"{reverse('identity:sign-in')}?{urlencode({'next': target})}")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST":
            forget(request)
        return redirect("identity:sign-in")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect("identity:profile")


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than COUNTED rows."""

    @cached_property
    def count(self) -> int:
        if isinstance(self.object_list, QuerySet):
            return int(self.object_list.order_by()[: COUNTED + 1].count())
        return len(self.object_list)


class FormulaSafeCSV(CSV):
    """CSV whose cells a spreadsheet shows as text."""

    def export_data(self, dataset: Any, **kwargs: Any) -> Any:
        rows = [[safe_cell(cell) for cell in row] for row in dataset]
        headers = dataset.headers
        dataset.wipe()
        dataset.headers = headers
        for row in rows:
            dataset.append(row)
        return super().export_data(dataset, **kwargs)


@cache
def _resource(model: type[Model], fields: tuple[str, ...]) -> type[ModelResource]:
    # The order of the columns is that of the fields named.
    return modelresource_factory(model, meta_options={"fields": fields, "export_order": fields})


class TenantModelAdmin(ExportMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Base of all model admins. `AdminScopeMiddleware` has opened the tenant, so every queryset is the tenant's own.

    Read-only unless `editable`; then `write()` must call the service that knows the rules. Deleting is never offered:
    records leave through their services. Permissions are Django's own names, answered from the user's roles.
    """

    editable: ClassVar[bool] = False
    # Columns of the export; the list's own where it is empty. Secrets stay out by not being named.
    exported: ClassVar[tuple[str, ...]] = ()
    # The permission to export; that to see the list where it is empty.
    export_capability: ClassVar[str] = ""

    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0
    list_select_related = True
    actions_on_top = True
    view_on_site = False
    export_form_class = ExportForm
    export_formats = (FormulaSafeCSV, JSON)

    # --- permissions ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.editable and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.editable and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_export_permission(self, request: HttpRequest) -> bool:
        if self.export_capability:
            return actor_of(request).can(self.export_capability)
        return self.has_view_permission(request)

    # --- writes ---

    def write(self, request: HttpRequest, obj: Any, form: Any, change: bool, by: Actor) -> None:
        """Call the service. The default serves records without rules."""
        obj.save()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        self.write(request, obj, form, change, actor_of(request))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Say a service's refusal above the form, which is opened again."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as refusal:
            self.message_user(request, refusal.message, level=messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @contextmanager
    def refusals_as_messages(self, request: HttpRequest) -> Iterator[None]:
        """For actions: all selected records or none, and a service's refusal said above the list."""
        try:
            with transaction.atomic():
                yield
        except DomainError as refusal:
            self.message_user(request, refusal.message, level=messages.ERROR)

    # The database's triggers keep the history; the framework's own log would keep a second, poorer one.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None

    # --- history ---

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The record's changes from every door, read from what the database's triggers wrote."""
        record = self.get_object(request, unquote(object_id))
        if record is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not self.has_view_or_change_permission(request, record):
            raise PermissionDenied
        actor = actor_of(request)
        changes = [change for section in sections.of("history") for change in section.build(record, actor)]
        context = {
            **self.admin_site.each_context(request),
            "title": _("History of %s") % record,
            "changes": changes,
            "object": record,
            "opts": self.opts,
            "module_name": str(self.opts.verbose_name_plural),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/record_history.html", context)

    # --- export ---

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[ModelResource]]:
        columns = {field.name for field in self.opts.concrete_fields}
        fields = self.exported or tuple(name for name in ("id", *self.get_list_display(request)) if name in columns)
        return [_resource(self.model, tuple(dict.fromkeys(fields)))]

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_export_queryset(request)
        return rows.filter(pk__in=rows.values("pk")[:MOST_EXPORTED])


def actor_of(request: HttpRequest) -> Actor:
    """The actor whom `AdminScopeMiddleware` let in."""
    return request.actor  # type: ignore[attr-defined, no-any-return]


__all__ = ["CappedPaginator", "CrmAdminSite", "TenantModelAdmin", "actor_of"]
