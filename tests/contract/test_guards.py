"""Architecture that a test can hold (house style, rules 1 to 31)."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.urls import get_resolver

from crm.filters import ChoiceFilter, MatchFilter
from crm.identity.roles import known_capabilities
from crm.rest.views import ApiView, OpenApiView
from crm.web.pages import Page
from leads.filters import SORTS, LeadFilters
from leads.models import Lead
from tests.contract.walk import all_routes

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    "crm", "activities", "assignments", "audit", "customobjects", "demo", "dialer", "duplicates", "enrichment", "leads", "matching", "notifications",
    "pipeline", "scoring", "webhooks",
)  # fmt: skip
MOST_LINES, MOST_OF_A_FUNCTION = 600, 60


@cache
def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


# --- layers ---


@pytest.mark.slow
def test_import_contracts_hold(monkeypatch):
    from importlinter.application.use_cases import lint_imports
    from importlinter.cli import lint_imports_command  # noqa: F401 -- sets the linter up

    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    assert lint_imports(config_filename=str(ROOT / ".importlinter"), cache_dir=None, verbose=False)


def test_settings_are_read_through_django():
    """Importing the module would miss what tests and the environment override."""
    found = [
        named(path)
        for path in sources(*CODE)
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.ImportFrom) and node.module == "crm.settings")
        or (isinstance(node, ast.Import) and any(alias.name == "crm.settings" for alias in node.names))
    ]
    assert found == []


# --- doors and services ---

WRITES = {"save", "create", "delete", "update", "bulk_create", "bulk_update", "get_or_create", "update_or_create"}
# Doors that write, each with its reason.
WRITING_DOORS = {
    ("crm/admin.py", "save"): "the admin's default for records without rules",
}


def writes_of_models(path: Path) -> Iterator[tuple[str, int]]:
    """Calls such as `Lead.objects.create(…)` and `lead.save()`; not `context.update(…)` or `form.save()`."""
    for node in ast.walk(parsed(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES):
            continue
        target = ast.unparse(node.func.value)
        harmless = re.fullmatch(
            r"(self\.|super\(\)\.)?(context|columns|data|values|params|headers|form|self|super\(\)|chosen|kept|initial|\w*store)", target
        )
        if not harmless or ".objects" in target:
            yield node.func.attr, node.lineno


def test_only_services_write():
    doors = [
        path
        for path in sources(*CODE)
        if {"api", "pages", "admin", "api.py", "pages.py", "admin.py", "views.py", "receivers.py", "tasks.py"} & set(path.parts)
    ]
    assert len(doors) > 15
    found = {(named(path), verb) for path in doors for verb, _line in writes_of_models(path)}
    assert found == set(WRITING_DOORS)


# Services that know an actor and take something by position.
POSITIONAL = {"crm/identity/services/invitations.py::refuse_greater_role": "a check that reads as a sentence; it writes nothing"}


def writing_services() -> list[Path]:
    return [path for path in sources(*CODE) if "services" in path.parts or path.name == "services.py"]


def test_services_that_act_for_somebody_are_keyword_only():
    found = []
    for path in writing_services():
        for node in parsed(path).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            keywords = [argument.arg for argument in node.args.kwonlyargs]
            if "by" in names or ("by" in keywords and names) or ("by" in keywords and keywords[-1] != "by"):
                found.append(f"{named(path)}::{node.name}")
    assert found == list(POSITIONAL)


def test_services_never_enqueue_and_know_no_request():
    found = [
        f"{named(path)}:{node.lineno}"
        for path in writing_services()
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.Attribute) and node.attr in ("delay", "apply_async", "delay_on_commit"))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("django.http", "rest_framework", "django.forms")))
    ]
    assert found == []


def test_no_signals_for_behaviour():
    """They miss update() and bulk paths (rule 26). post_migrate lays the walls."""
    found = {
        named(path)
        for path in sources(*CODE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom)
        and node.module == "django.db.models.signals"
        and any(alias.name != "post_migrate" for alias in node.names)
    }
    assert found == set()


# Methods of the API that need a sign-in only: (view, method) with the reason.
SIGN_IN_ONLY = {
    "ViewsView": "one's own views and those shared; the service asks for the list's permission",
    "ViewView": "the service asks",
    "LogoutView": "one's own session",
    "PasswordChangeView": "one's own password",
    "UserInfoView": "oneself",
    "SessionsView": "one's own sessions",
    "SessionView": "one's own sessions",
    "CurrentSessionView": "one's own session",
    "ValidateView": "one's own token",
    "UserView": "oneself without a permission, colleagues with one; the service asks",
    "ActivateView": "the service asks",
    "DeactivateView": "the service asks",
    "UserRolesView": "oneself without a permission; the service asks",
    "UserRoleView": "the service asks",
    "UserPermissionsView": "oneself without a permission, colleagues with one",
    "ProfileView": "oneself without a permission; the service asks",
    "PreferencesView": "one's own",
    "ApiKeysView": "one's own keys",
    "ApiKeyView": "one's own keys; others' with the permission",
    "NotificationsView": "one's own",
    "NotificationReadView": "one's own",
    "NotificationsReadView": "one's own",
    "NotificationPreferencesView": "one's own",
    "UndoView": "one's own operations; others' with the permission",
    "OperationsView": "one's own operations; others' with the permission",
    "OperationView": "one's own operations; others' with the permission",
    "OperationErrorsView": "one's own operations; others' with the permission",
    "CancelView": "one's own operations; others' with the permission",
    "CallingAgentsView": "who calls, coaches or manages, the queues in sight; adding asks for the permission",
    "CallingAgentView": "who calls, coaches or manages, the queues in sight; the services ask",
    "RetryRulesView": "who calls, coaches or manages, the queues in sight; the service asks",
    "EntriesView": "who calls, coaches or manages, the queues in sight; the service asks",
    "EntryView": "who calls, coaches or manages, the queues in sight; the services ask",
    "EntryWhyView": "who calls, coaches or manages, the queues in sight",
    "EntryOutcomeView": "one's own calls; the service asks",
    "DialerImportView": "one's own operations; others' with the permission",
    "ScheduleView": "who calls, coaches or manages, the queues in sight; the service asks",
    "HistoryView": "one's own calls and those of the queues in sight",
    "CallMetricsView": "one's own calls and those of the queues in sight",
    "CallTranscriptView": "one's own calls and those of the queues in sight",
    "CallRecordingView": "one's own calls and those of the queues in sight",
}


def api_views() -> list[type[ApiView]]:
    return sorted(
        {route.view_class for route in all_routes() if inspect.isclass(route.view_class) and issubclass(route.view_class, ApiView)}, key=str
    )


def test_every_api_view_names_its_capabilities_or_a_reason():
    silent = {
        view.__name__
        for view in api_views()
        if not issubclass(view, OpenApiView)
        and {name for name in view.http_method_names if hasattr(view, name) and name != "options"} - set(view.capabilities)
    }
    assert silent == set(SIGN_IN_ONLY)


def test_every_capability_named_by_a_door_is_known_to_the_roles():
    named_ones = {name for view in api_views() for name in view.capabilities.values()}
    pages = {route.view_class for route in all_routes() if inspect.isclass(route.view_class) and issubclass(route.view_class, Page)}
    named_ones |= {page.capability for page in pages if page.capability}
    assert named_ones <= set(known_capabilities())
    assert len(named_ones) > 10


def test_serializers_list_their_fields():
    assert [named(path) for path in sources(*CODE) if re.search(r"fields\s*=\s*[\"']__all__[\"']", path.read_text(encoding="utf-8"))] == []


# --- tasks ---


def own_tasks() -> dict[str, Any]:
    current_app.loader.import_default_modules()
    return {name: task for name, task in current_app.tasks.items() if not name.startswith("celery.")}


def test_every_task_has_a_route_and_keyword_arguments_only():
    router = current_app.amqp.router
    tasks = own_tasks()
    assert tasks
    for name, task in tasks.items():
        assert any(re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), name) for pattern in settings.CELERY_TASK_ROUTES), name
        assert router.route({}, name)["queue"].name in {"default", "events", "operations"}, name
        parameters = inspect.signature(task.run).parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}, name
        assert inspect.Parameter.VAR_KEYWORD in kinds, f"{name}: old workers must survive new arguments"


def test_beat_runs_tasks_that_exist():
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(own_tasks())


# --- filters ---

# Fields of a lead that no filter reads, each with its reason.
UNFILTERED = {
    "id": "addressed directly",
    "tenant": "the open tenant is the only one",
    "first_name": "found by search",
    "last_name": "found by search",
    "name_key": "a sort; found by search",
    "company": "found by search",
    "company_key": "a sort; found by search",
    "email": "found by search",
    "email_key": "a derived key",
    "phone": "found by search",
    "title": "found by search",
    "notes": "found by search",
    "website": "nobody looks for it",
    "city": "comes with segments",
    "state": "comes with segments",
    "country": "comes with segments",
    "raw_field_data": "kept as received",
    "status_changed_at": "bookkeeping",
    "lost_reason": "read with the status",
    "assigned_at": "bookkeeping",
    "last_contact_at": "a sort",
    "source_page_id": "kept as received",
    "source_page_name": "kept as received",
    "consent_time": "kept as received",
    "lifecycle_stage": "follows from score and status",
    "conversion_probability": "a sort",
    "probability_pinned": "bookkeeping",
    "created_by": "in the history",
    "created_via": "in the history",
    "updated_at": "a sort",
    "deleted_at": "the bin has its own page",
}


def test_every_field_of_a_lead_has_a_filter_or_a_reason():
    columns = {"search", "tags", "status", "custom_fields"}
    for rule in LeadFilters.filters.values():
        columns.add(rule.column)
        condition = getattr(rule, "when_true", None)
        if condition is not None:
            columns |= {child[0].split("__")[0] for child in condition.children}
    fields = {field.name for field in Lead._meta.concrete_fields}
    assert fields - columns == set(UNFILTERED)
    assert isinstance(LeadFilters.filters["priority"], ChoiceFilter)
    assert isinstance(LeadFilters.filters["tags"], MatchFilter)


def test_every_sort_of_leads_walks_an_index():
    led = {tuple(index.fields) for index in Lead._meta.indexes}
    assert {sort.column for sort in SORTS.values()} <= {
        fields[1] for fields in led if len(fields) == 3 and fields[0] == "tenant" and fields[2] == "id"
    }


# --- names of routes ---

_BY_NAME = re.compile(r"""(?:reverse(?:_lazy)?|redirect)\(\s*["']([a-z_]+:[a-z_-]+)["']|\{%\s*url\s+["']([a-z_]+:[a-z_-]+)["']""")


def test_every_route_named_in_code_and_templates_exists():
    known = {f"{namespace}:{name}" for namespace, names in _names_by_namespace().items() for name in names}
    files = [*sources(*CODE), *(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")]
    lost = {
        f"{named(path)}: {one or two}"
        for path in files
        for one, two in _BY_NAME.findall(path.read_text(encoding="utf-8"))
        if (one or two) not in known
    }
    assert lost == set()


def _names_by_namespace() -> dict[str, set[str]]:
    resolver = get_resolver()
    return {
        namespace: {name for name in inner.reverse_dict if isinstance(name, str)}
        for namespace, (_prefix, inner) in resolver.namespace_dict.items()
    }


# --- size and text ---


def test_modules_and_functions_stay_small(tracked):
    long_modules, long_functions = [], []
    for path in tracked:
        if path.suffix != ".py" or "migrations" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_LINES and "tests" not in path.parts:
            long_modules.append(named(path))
        for node in functions(parsed(path)):
            if (node.end_lineno or 0) - node.lineno + 1 > MOST_OF_A_FUNCTION:
                long_functions.append(f"{named(path)}::{node.name}")
    assert (long_modules, long_functions) == ([], [])


def test_every_migration_is_named():
    automatic = [
        named(path)
        for app in apps.get_app_configs()
        for path in Path(app.path).glob("migrations/*_auto_*.py")
        if ROOT in path.parents and ".venv" not in path.parts
    ]
    assert automatic == []


# Put together here so that this file does not find itself.
_OUTSIDE = re.compile(
    "|".join(
        (
            r"--(?:extra-)?index-" + "url",
            r"[\w.-]*arti" + r"factory[\w.-]*",
            r"/ro" + r"ot/",
            r"/ho" + r"me/(?!app\b)\w+/",
            r"/wor" + r"k/(?:main|shared)",
            r"\.inter" + r"nal\b(?!\.)",
            r"files\.pythonho" + r"sted\.org",
        )
    )
)


def test_no_file_holds_an_index_address_or_a_machine_path(tracked):
    found = {}
    for path in tracked:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        hits = sorted({match[0] for match in _OUTSIDE.finditer(text)})
        if hits:
            found[named(path)] = hits
    assert found == {}


def test_test_functions_are_found_by_pytest(tracked):
    """A test module whose name does not begin with test_ is never run."""
    lost = [
        named(path)
        for path in tracked
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests") and not path.name.startswith("test_")
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert lost == []
