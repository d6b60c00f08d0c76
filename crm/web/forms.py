"""Make `{{ form }}` render with the design system's field, errors and choices."""

from functools import cached_property
from pathlib import Path
from typing import Any

import django.forms
from django.forms.renderers import BaseRenderer
from django.template import engines
from django.template.backends.django import DjangoTemplates


class Renderer(BaseRenderer):
    """`FORM_RENDERER`. Forms, fields and errors come from our templates, widgets from Django and the installed apps."""

    form_template_name = "forms/form.html"
    formset_template_name = "forms/formset.html"
    field_template_name = "forms/field.html"

    @cached_property
    def engine(self) -> DjangoTemplates:
        """The project's directories, the apps', then Django's own widgets, so that each may include the other."""
        project = engines["django"]
        return DjangoTemplates(
            {
                "NAME": "forms",
                "DIRS": [*project.engine.dirs, Path(django.forms.__file__).parent / "templates"],
                "APP_DIRS": True,
                "OPTIONS": {"builtins": project.engine.builtins},
            }
        )

    def get_template(self, template_name: str) -> Any:
        if template_name.startswith("django/forms/errors/list/"):
            template_name = "forms/errors.html"
        return self.engine.get_template(template_name)
