"""A PostgreSQL server of one's own, driven through its `initdb` and `pg_ctl`, reachable from this machine with a password only."""

import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import quote

from crm.embedded import bootstrap
from crm.embedded.pgconfig import (
    ACCESS_FILE,
    memory_bytes,
    program_folder,
    server_settings,
    settings_file,
)
from crm.embedded.state import LOOPBACK, Kind, State, choose_port, new_secret
from crm.embedded.system import (
    OsUser,
    can_use,
    end_processes,
    processes_in,
    run_as,
    server_user,
    wait_until_left,
)

SUPERUSER = "postgres"
# Where data goes when the server's user cannot pass through the folders above the checkout.
SHARED_FOLDER = Path("/var/lib")
# Where the first is unknown (older systems) the next is tried; plain C knows the letters of English only.
LETTER_CLASSES = ("C.UTF-8", "en_US.UTF-8", "C")
# What is known to have been done to the data, and is not true of new data.
STAMPS = ("migrated", "demo_loaded")


class PostgresFailed(RuntimeError):
    """The server could not be made or started; the message carries the end of its log."""


def database_url(*, login: str, password: str, port: int, database: str) -> str:
    return f"postgres://{quote(login, safe='')}:{quote(password, safe='')}@{LOOPBACK}:{port}/{quote(database, safe='')}"


def choose_home(*, base: Path, user: OsUser | None, shared: Path = SHARED_FOLDER) -> Path:
    """Return the folder for data and log: under `base`, or, where the server's user cannot get there, one of its own elsewhere.

    Permissions of the folders above the checkout are never touched.
    """
    if user is None or can_use(user=user, path=base):
        return base / "postgres"
    digest = hashlib.sha256(str(base).encode()).hexdigest()[:12]
    return shared / f"salesmagnet-{digest}"


class PostgresServer:
    """One server: `start` brings it up (and makes it the first time), `stop` takes it down."""

    def __init__(self, *, base: Path, kind: Kind) -> None:
        self.base = base.resolve()
        self.kind = kind
        self.state = State(path=self.base / "state.json")
        self._user: OsUser | None = None
        self._home: Path | None = None

    @property
    def home(self) -> Path:
        if self._home is None:
            raise RuntimeError("The server's folder is known once it was located.")
        return self._home

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def port(self) -> int:
        return int(self.state.read()["postgres_port"])

    def url(self, *, login: str, database: str = bootstrap.DATABASE) -> str:
        passwords = State(path=self.home / "passwords.json")
        password = passwords.remember(key=login, make=new_secret)
        return database_url(login=login, password=password, port=self.port, database=database)

    def start(self) -> None:
        """Bring the server up. One that is up already is left as it is."""
        self.locate()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if not self.is_running():
            self._clear_stale_lock()
            self._launch()
        self._prepare()

    def stop(self) -> None:
        """Take the server down: sessions are cut, data is written out, and only a server that hangs is killed."""
        if not self.is_running():
            return
        self._control("stop", "-m", "fast", "-w", "-t", "30")
        if not wait_until_left(self.data, user=self._user, seconds=5):
            end_processes(self.data, user=self._user, seconds=10)

    def is_running(self) -> bool:
        """Say whether the server named in the lock file works in our data folder."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return False
        return pid in processes_in(self.data, user=self._user)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.locate()
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def locate(self) -> None:
        """Find or make the server's folder and the user it runs as."""
        if self._home is not None:
            return
        self._user = server_user()
        self.base.mkdir(parents=True, exist_ok=True)
        remembered = self.state.get(key="postgres_home")
        home = Path(remembered) if remembered else choose_home(base=self.base, user=self._user)
        if remembered is None and home.parent != self.base and home.exists():
            _set_aside(home, user=self._user)
        home.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            os.chown(home, self._user.uid, self._user.gid)
        self.state.put(key="postgres_home", value=str(home))
        self._home = home

    def _initialise(self) -> None:
        draft = self.home / "data.new"
        passwords = State(path=self.home / "passwords.json")
        password_file = self.home / "password.tmp"
        password_file.touch(mode=0o600)
        password_file.write_text(passwords.remember(key=SUPERUSER, make=new_secret))
        if self._user is not None:
            os.chown(password_file, self._user.uid, self._user.gid)
        try:
            self._create_cluster(folder=draft, password_file=password_file)
        finally:
            password_file.unlink()
        draft.rename(self.data)
        self.state.forget("postgres_prepared", *STAMPS)

    def _create_cluster(self, *, folder: Path, password_file: Path) -> None:
        """Run initdb: sorting and case by PostgreSQL's own C.UTF-8, and the system's letter classes, by which trigrams know words."""
        for letters in LETTER_CLASSES:
            shutil.rmtree(folder, ignore_errors=True)
            try:
                self._run(
                    *("initdb", "--pgdata", str(folder), "--username", SUPERUSER, "--pwfile", str(password_file)),
                    *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", f"--lc-ctype={letters}"),
                    *("--auth=scram-sha-256", "--no-instructions", "--no-sync"),
                )
            except PostgresFailed as failure:
                if letters == LETTER_CLASSES[-1] or "locale" not in str(failure):
                    raise
            else:
                return

    def _launch(self) -> None:
        for _ in range(3):
            port = choose_port(state=self.state, key="postgres_port")
            settings = server_settings(kind=self.kind, port=port, memory=memory_bytes())
            self._write("pg_hba.conf", ACCESS_FILE)
            self._write("postgresql.auto.conf", settings_file(settings))
            try:
                self._control("start", "-w", "-t", "120", "-l", str(self.log))
            except PostgresFailed:
                if "could not bind" not in self._log_end():
                    raise
                self.log.unlink(missing_ok=True)
            else:
                return
        raise PostgresFailed("PostgreSQL found no free port in three attempts.")

    def _clear_stale_lock(self) -> None:
        """Let a killed server's last children end, then drop its lock file, whose process number may be someone else's by now."""
        if processes_in(self.data, user=self._user) and not wait_until_left(self.data, user=self._user, seconds=10):
            end_processes(self.data, user=self._user, seconds=10)
        if Path("/proc/self/cwd").exists():
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _prepare(self) -> None:
        wanted = hashlib.sha256(bootstrap.DATABASE_SQL.read_bytes()).hexdigest()
        if self.state.get(key="postgres_prepared") == wanted:
            return
        passwords = State(path=self.home / "passwords.json")
        bootstrap.prepare_server(
            admin_url=self.url(login=SUPERUSER, database="postgres"),
            owner_password=passwords.remember(key=bootstrap.OWNER, make=new_secret),
            runtime_password=passwords.remember(key=bootstrap.RUNTIME, make=new_secret),
        )
        bootstrap.prepare_database(admin_url=self.url(login=SUPERUSER))
        self.state.put(key="postgres_prepared", value=wanted)

    def _write(self, name: str, text: str) -> None:
        path = self.data / name
        path.write_text(text)
        if self._user is not None:
            os.chown(path, self._user.uid, self._user.gid)

    def _control(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        programs = program_folder(user=self._user, home=self.home)
        done = run_as(user=self._user, command=[str(programs / program), *arguments], cwd=self.home)
        if done.returncode != 0:
            raise PostgresFailed(f"{program} ended with {done.returncode}.\n{done.stdout}{done.stderr}{self._log_end()}")

    def _log_end(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-3000:]
        except OSError:
            return ""


def _set_aside(home: Path, *, user: OsUser | None) -> None:
    """Move data away that no checkout remembers: its `var` folder was deleted, so this is not the data of this run."""
    end_processes(home / "data", user=user, seconds=10)
    old = home.with_name(f"{home.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    home.rename(old)
