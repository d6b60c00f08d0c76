"""Make `{{ form }}` render with the design system's field, errors and choices."""

from functools import cached_property
from typing import Any

from django.forms.renderers import DjangoTemplates, TemplatesSetting


class Renderer(TemplatesSetting):
    """`FORM_RENDERER`. Forms and fields come from our templates, widgets from Django's own."""

    form_template_name = "forms/form.html"
    formset_template_name = "forms/formset.html"
    field_template_name = "forms/field.html"

    @cached_property
    def _own(self) -> DjangoTemplates:
        return DjangoTemplates()

    def get_template(self, template_name: str) -> Any:
        if template_name.startswith("django/forms/errors/list/"):
            return super().get_template("forms/errors.html")
        if template_name.startswith("django/forms/"):
            return self._own.get_template(template_name)
        return super().get_template(template_name)
