"""What has to be done once before the first page can be served, and is skipped while nothing has changed."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from crm.embedded.state import ROOT, State

LOCK_FILE = ROOT / "requirements.lock"


class StartFailed(RuntimeError):
    """A step of the start ended with an error, which it has printed itself."""


def app_folders() -> list[Path]:
    """Return the folders of the project's own code."""
    return sorted(path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name not in {"var", "tests"})


def files_hash(files: Iterable[Path]) -> str:
    """Return a hash of names and contents."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def schema_files() -> list[Path]:
    """Return everything the schema is made from: migrations, their SQL, and the kernel modules they call."""
    files = [path for folder in app_folders() for pattern in ("**/migrations/*.py", "**/*.sql") for path in folder.glob(pattern)]
    files += (ROOT / "crm" / "tenancy").glob("*.py")
    files += [ROOT / "crm" / "history.py", LOCK_FILE]
    return [path for path in files if path.exists()]


def static_files() -> list[Path]:
    files = [path for folder in app_folders() for path in folder.glob("**/static/**/*") if path.is_file()]
    return [*files, *(path for path in (ROOT / "static").glob("**/*") if path.is_file()), LOCK_FILE]


def prepare(*, environment: dict[str, str], state: State, embedded: bool) -> None:
    """Migrate, load the demo data and collect static files, each only if it is due. A database from outside is always migrated."""
    collecting = _begin_collecting(environment=environment, state=state)
    try:
        _prepare_data(environment=environment, state=state, embedded=embedded)
    except BaseException:
        if collecting:
            collecting.kill()
            collecting.wait()
        raise
    if collecting and collecting.wait() != 0:
        raise StartFailed("collectstatic failed.")
    if collecting:
        state.put(key="static", value=files_hash(static_files()))


def _prepare_data(*, environment: dict[str, str], state: State, embedded: bool) -> None:
    schema = files_hash(schema_files())
    if not (embedded and state.get(key="migrated") == schema):
        say("Migrating the database ...")
        manage("migrate", "--no-input", "--verbosity", "0", environment=environment)
        state.put(key="migrated", value=schema)
    if environment.get("DEMO", os.environ.get("DEMO")) != "1":
        return
    if not (embedded and state.get(key="demo_loaded")):
        say("Loading the demo tenants ...")
        manage("load_demo", environment=environment)
        state.put(key="demo_loaded", value="yes")


def _begin_collecting(*, environment: dict[str, str], state: State) -> subprocess.Popen[bytes] | None:
    root = Path(environment.get("STATIC_ROOT") or os.environ.get("STATIC_ROOT") or ROOT / "var" / "static")
    if (root / "staticfiles.json").exists() and state.get(key="static") == files_hash(static_files()):
        return None
    say("Collecting static files ...")
    return subprocess.Popen(manage_command("collectstatic", "--no-input", "--verbosity", "0"), cwd=ROOT, env={**os.environ, **environment})


def manage(*arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(manage_command(*arguments), cwd=ROOT, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        raise StartFailed(f"manage.py {arguments[0]} failed.")


def manage_command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def say(text: str) -> None:
    print(text, flush=True)
