"""Ask mailboxes for new mails over IMAP.

The network is spoken to outside transactions and within a time limit. A mail is stored before the mailbox is told that it was
read, and how far reading came is noted last: killed in between, the next run meets the same mails again and knows them by
their Message-ID.
"""

import imaplib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Q
from django.utils import timezone
from imap_tools import BaseMailBox, ImapToolsError
from imap_tools.utils import encode_folder

from crm.events import nudge
from crm.sealed import Unreadable, unseal
from crm.tenancy.scope import tenant_scope
from webhooks.enums import SourceKind
from webhooks.models import Source, SourceKey
from webhooks.services.mail import LARGEST, read_mail
from webhooks.services.mailroom import receive_mail
from webhooks.services.options import default_options

log = structlog.get_logger(__name__)
MOST_A_RUN, NOTED_EVERY = 200, 25
# One answer, and the whole conversation. Who died in a run is replaced once its time is over.
ANSWER_SECONDS, RUN_SECONDS = 20, 100
LEASE = timedelta(seconds=RUN_SECONDS + 20)


class MailboxTrouble(Exception):
    """What the mailbox's owner must know: the host, the sign-in or the folder is wrong, or the server is away."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far reading a folder came: its UIDVALIDITY, the last UID read, and the UIDs below which only unread mails count.

    What was there before the mailbox was connected, and read by somebody, is history and no lead.
    """

    validity: int
    last: int
    start: int


def fetch_mailboxes() -> int:
    """Have every mailbox of every tenant asked, each by a task of its own. Answers how many."""
    keys = SourceKey.objects.exclude(key__startswith="facebook:").filter(tenant__is_active=True)
    asked = 0
    for tenant_id in keys.order_by("tenant_id").values_list("tenant_id", flat=True).distinct():
        with tenant_scope(tenant_id):
            sources = Source.objects.filter(_free(), kind=SourceKind.EMAIL, is_active=True).exclude(options__host="")
            ids = list(sources.filter(options__has_key="host").values_list("pk", flat=True))
        for source_id in ids:
            nudge.task("webhooks.fetch_mailbox", tenant_id=tenant_id, source_id=source_id)
        asked += len(ids)
    return asked


def fetch_mailbox(*, tenant_id: int, source_id: int) -> int:
    """Take in a mailbox's new mails, in order, at most MOST_A_RUN. Nothing where another worker is at it. Answers how many were read."""
    with tenant_scope(tenant_id):
        mine = Source.objects.filter(_free(), pk=source_id, kind=SourceKind.EMAIL, is_active=True)
        if not mine.update(checked_at=timezone.now() + LEASE):
            return 0
        source = Source.objects.get(pk=source_id)
    read, trouble = 0, ""
    try:
        for _ in _new_mails(source):
            read += 1
    except (OperationalError, InterfaceError):
        # The database went away: the lease runs out.
        raise
    except (MailboxTrouble, Unreadable) as error:
        trouble = str(error)
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
        trouble = f"The mailbox does not answer as it should: {error or type(error).__name__}"
    except Exception as error:
        log.exception("mailbox_failed", tenant=tenant_id, source=source_id)
        trouble = f"{type(error).__name__}: {error}"
    _settle(source, trouble)
    return read


def _free() -> Q:
    return Q(checked_at=None) | Q(checked_at__lte=timezone.now())


def _settle(source: Source, trouble: str) -> None:
    now = timezone.now()
    notes = (
        {"last_error": trouble.replace("\x00", "")[:500], "last_error_at": now} if trouble else {"last_error": "", "last_error_at": None}
    )
    with tenant_scope(source.tenant_id):
        Source.objects.filter(pk=source.pk).update(checked_at=now, **notes)
    if trouble:
        log.warning("mailbox_trouble", tenant=source.tenant_id, source=source.pk, trouble=trouble)


# --- the conversation ---


def _new_mails(source: Source) -> Iterator[int]:
    """Read mail after mail; each UID is answered once its mail is stored."""
    options = {**default_options(SourceKind.EMAIL), **source.options}
    with _signed_in(options, unseal(source.token)) as box:
        place = _place(box, options, source.options.get("seen"))
        found = sorted(int(uid) for uid in box.uids(f"UID {place.last + 1}:* OR UID {place.start}:* UNSEEN", charset=None))
        last, unreadable = place.last, 0
        try:
            # A search from beyond the end answers the last mail.
            for number, uid in enumerate([uid for uid in found if uid > place.last][:MOST_A_RUN], start=1):
                unreadable += not _taken(box, source, uid, options)
                last = uid
                if number % NOTED_EVERY == 0:
                    _note(source, place, last)
                yield uid
        finally:
            _note(source, place, last)
        if unreadable:
            raise MailboxTrouble(f"{unreadable} mails could not be read. They were left in the mailbox as they are; the log says why.")


def _taken(box: BaseMailBox, source: Source, uid: int, options: dict[str, Any]) -> bool:
    raw = _fetched(box, uid)
    if raw is None:
        return True
    try:
        receive_mail(source=source, mail=read_mail(raw))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # One mail that meets a fault of ours must not keep the others waiting.
        log.exception("mail_unreadable", tenant=source.tenant_id, source=source.pk, uid=uid)
        return False
    _put_away(box, uid, options)
    return True


def _place(box: BaseMailBox, options: dict[str, Any], seen: Any) -> Place:
    folder = options["folder"] or "INBOX"
    try:
        status = box.folder.status(folder, ["UIDVALIDITY", "UIDNEXT"])
        box.folder.set(folder)
    except ImapToolsError:
        raise MailboxTrouble(f"The mailbox has no folder {folder[:100]}.") from None
    validity = status["UIDVALIDITY"]
    if isinstance(seen, dict) and seen.get("validity") == validity:
        return Place(validity=validity, last=int(seen.get("last", 0)), start=int(seen.get("start", 1)))
    return Place(validity=validity, last=0, start=status["UIDNEXT"])


def _note(source: Source, place: Place, last: int) -> None:
    """Keep how far reading came, beside settings that somebody may be changing at the same time."""
    seen = {"validity": place.validity, "last": last, "start": place.start}
    if source.options.get("seen") == seen:
        return
    with tenant_scope(source.tenant_id), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_source SET options = jsonb_set(options, '{seen}', %s::jsonb) WHERE tenant_id = %s AND id = %s",
            [orjson.dumps(seen).decode(), source.tenant_id, source.pk],
        )
    source.options["seen"] = seen


def _fetched(box: BaseMailBox, uid: int) -> bytes | None:
    """A mail's bytes, cut where it is too large, without marking it as read. None where somebody moved it away."""
    status, answer = box.client.uid("fetch", str(uid), f"(BODY.PEEK[]<0.{LARGEST}>)")
    if status != "OK":
        raise MailboxTrouble(f"The mailbox did not hand out mail {uid}.")
    return next((bytes(part[1]) for part in answer if isinstance(part, tuple)), None)


def _put_away(box: BaseMailBox, uid: int, options: dict[str, Any]) -> None:
    """Do with a stored mail what the source's settings say. By plain commands: the library's flagging also expunges the folder."""
    after, client = options["after_read"], box.client
    if after == "move" and options["move_to"]:
        target = encode_folder(options["move_to"]).decode("ascii")
        if "MOVE" in client.capabilities:
            _demand(client.uid("MOVE", str(uid), target), "move")
            return
        _demand(client.uid("COPY", str(uid), target), "copy")
        _delete(client, uid)
    elif after == "delete":
        _delete(client, uid)
    elif after == "seen":
        _demand(client.uid("STORE", str(uid), "+FLAGS", r"(\Seen)"), "mark")


def _delete(client: imaplib.IMAP4, uid: int) -> None:
    _demand(client.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)"), "delete")
    if "UIDPLUS" in client.capabilities:
        _demand(client.uid("EXPUNGE", str(uid)), "expunge")


def _demand(answer: tuple[str, Any], verb: str) -> None:
    if answer[0] != "OK":
        raise MailboxTrouble(f"The mailbox refused to {verb} a mail that was read.")


# --- the connection ---


@contextmanager
def _signed_in(options: dict[str, Any], password: str) -> Iterator[BaseMailBox]:
    host, port, security = str(options["host"]), int(options["port"]), options["security"]
    address = checked_address(host, port)
    box = _Box(host, port, address=address, security=security)
    try:
        if security == "starttls":
            box.client.starttls(ssl.create_default_context())
        try:
            sign_in = box.login if f"{options['user']}{password}".isascii() else box.login_utf8
            sign_in(options["user"], password, None)
        except ImapToolsError:
            raise MailboxTrouble("The mailbox refused the user name or the password.") from None
        yield box
    finally:
        box.close()


def checked_address(host: str, port: int) -> str:
    """An address of a host on the open Internet, to which one then connects: a name may answer otherwise when asked again."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise MailboxTrouble(f"No server has the name {host[:100]}.") from None
    if not settings.ALLOW_PRIVATE_HOSTS and not all(_is_public(address) for address in found):
        raise MailboxTrouble("The mail server's address is not on the open Internet. Set ALLOW_PRIVATE_HOSTS to allow it.")
    return sorted(found, key=lambda address: (":" in address, address))[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return all(one.is_global and not one.is_multicast for one in (address, inner) if one is not None)


class _Client(imaplib.IMAP4):
    """Connects to an address that was checked, hangs up when its time is over, and takes no answer larger than a mail may be."""

    def __init__(self, host: str, port: int, *, address: str, context: ssl.SSLContext | None) -> None:
        self._address, self._context = address, context
        self._alarm: _Alarm | None = None
        super().__init__(host, port, ANSWER_SECONDS)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = socket.create_connection((self._address, self.port), timeout)
        # However slowly the other side drips, reads fail once the connection is shut: by a handle that outlives TLS wrapping.
        self._alarm = _Alarm(plain.dup())
        try:
            return self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain
        except BaseException:
            self._alarm.off()
            raise

    def read(self, size: int) -> bytes:
        if size > LARGEST + 1_000_000:
            raise self.abort("an answer larger than any mail may be")
        return super().read(size)

    def shutdown(self) -> None:
        if self._alarm is not None:
            self._alarm.off()
        super().shutdown()


class _Alarm:
    """Shuts a connection once RUN_SECONDS are over."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self._timer = threading.Timer(RUN_SECONDS, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        try:
            self._handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def off(self) -> None:
        self._timer.cancel()
        self._handle.close()


class _Box(BaseMailBox):
    def __init__(self, host: str, port: int, *, address: str, security: str) -> None:
        context = ssl.create_default_context() if security == "tls" else None
        self._connect: Callable[[], imaplib.IMAP4] = lambda: _Client(host, port, address=address, context=context)
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        return self._connect()

    def close(self) -> None:
        """Say goodbye where somebody still listens, and let go of the connection."""
        try:
            self.client.logout()
        except (OSError, imaplib.IMAP4.error):
            self.client.shutdown()
