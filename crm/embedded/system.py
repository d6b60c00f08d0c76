"""The operating system's side: the user a server runs as, and the processes that work in a folder."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SERVER_USER = "salesmagnet"


@dataclass(frozen=True, kw_only=True)
class OsUser:
    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "OsUser | None":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


class ServerUserMissing(RuntimeError):
    """PostgreSQL refuses to run as root and no other user could be found or made."""


def server_user() -> OsUser | None:
    """Return the user PostgreSQL has to run as, or None to run as oneself. Makes a system user the first time root asks."""
    if os.geteuid() != 0:
        return None
    user = OsUser.named(SERVER_USER) or _create_server_user() or OsUser.named("postgres") or OsUser.named("nobody")
    if user is None:
        raise ServerUserMissing(f"PostgreSQL does not run as root. Make a system user called {SERVER_USER}, or run as an ordinary user.")
    return user


def _create_server_user() -> OsUser | None:
    commands = [
        [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            SERVER_USER,
        ],
        ["adduser", "-S", "-D", "-H", SERVER_USER],
    ]
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
        if user := OsUser.named(SERVER_USER):
            return user
    return None


def run_as(
    *, user: OsUser | None, command: list[str], cwd: Path, env: dict[str, str] | None = None, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as another user if one is given, with its output kept for the error message."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(env or {})}
    return subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        umask=0o077,
        # Out of the terminal's reach: Ctrl-C is for whoever asked, not for a server being started or stopped.
        start_new_session=True,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def can_use(*, user: OsUser | None, path: Path) -> bool:
    """Say whether the user can read this path and pass through every folder above it."""
    command = ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", str(path)]
    return run_as(user=user, command=command, cwd=Path("/")).returncode == 0


# Asked as the server's own user: root in a container may not look into other users' processes. A zombie works nowhere.
_LIST_PROCESSES = 'for p in /proc/[0-9]*; do if [ "$p/cwd" -ef "$1" ]; then echo "${p#/proc/}"; fi; done'


def processes_in(folder: Path, *, user: OsUser | None = None) -> list[int]:
    """Return the user's processes whose working folder is this one. Both servers work in their data folder."""
    if not folder.exists():
        return []
    listed = run_as(user=user, command=["/bin/sh", "-c", _LIST_PROCESSES, "sh", str(folder)], cwd=Path("/"))
    return sorted(int(line) for line in listed.stdout.split())


def wait_until_left(folder: Path, *, user: OsUser | None = None, seconds: float) -> bool:
    """Wait until no process works in the folder any more."""
    deadline = time.monotonic() + seconds
    while processes_in(folder, user=user):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end_processes(folder: Path, *, user: OsUser | None = None, seconds: float) -> None:
    """End whatever works in the folder: politely, then by force."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_in(folder, user=user):
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue
        if wait_until_left(folder, user=user, seconds=seconds):
            return
