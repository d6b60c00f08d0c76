"""Mailboxes asked over IMAP, at a server that can misbehave."""

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import OperationalError
from django.utils import timezone

from crm.actors import Actor
from leads.models import Arrival, Lead
from tests.factories import inside
from tests.webhooks.imap_server import ImapServer
from webhooks import tasks
from webhooks.enums import SourceKind
from webhooks.models import Source
from webhooks.services import mailboxes
from webhooks.services.sources import SourceSettings, save_source


def mail(number: int, **headers: str) -> bytes:
    lines = {
        "From": f"Jane {number} <jane{number}@acme.example>",
        "Subject": f"Question {number}",
        "Message-ID": f"<m{number}@acme.example>",
    }
    return "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers}.items()).encode() + b"\r\nHello\r\n"


@pytest.fixture
def server():
    with ImapServer() as running:
        yield running


def make_mailbox(tenant, server, *, name="Leads", password="secret", **options) -> Source:
    wanted = SourceSettings(
        name=name, token=password, options={"host": "127.0.0.1", "port": server.port, "security": "none", "user": "leads", **options}
    )
    with inside(tenant.pk):
        return save_source(kind=SourceKind.EMAIL, source=None, wanted=wanted, by=Actor.system(tenant_id=tenant.pk))


@pytest.fixture
def mailbox(tenant, server):
    return make_mailbox(tenant, server)


def fetch(source: Source) -> int:
    return mailboxes.fetch_mailbox(tenant_id=source.tenant_id, source_id=source.pk)


def now(source: Source) -> Source:
    with inside(source.tenant_id):
        return Source.objects.get(pk=source.pk)


def ids(source: Source) -> list[str]:
    with inside(source.tenant_id):
        return list(Arrival.objects.order_by("pk").values_list("source_lead_id", flat=True))


def test_unread_mails_become_leads_and_are_marked_as_read(mailbox, server):
    for number in (1, 2):
        server.inbox.add(mail(number))
    assert fetch(mailbox) == 2
    assert ids(mailbox) == ["m1@acme.example", "m2@acme.example"]
    assert [message.flags for message in server.inbox.messages] == [{"\\Seen"}, {"\\Seen"}]
    assert now(mailbox).options["seen"] == {"validity": 1, "last": 2, "start": 3}
    with inside(mailbox.tenant_id):
        lead = Lead.objects.get(email="jane1@acme.example")
    assert (lead.full_name, lead.lead_source, lead.notes) == ("Jane 1", "E-mail", "Question 1\n\nHello")
    assert fetch(mailbox) == 0


def test_what_was_read_before_the_mailbox_was_connected_is_left_alone(mailbox, server):
    server.inbox.add(mail(1), "\\Seen")
    server.inbox.add(mail(2))
    fetch(mailbox)
    server.inbox.add(mail(3), "\\Seen")
    fetch(mailbox)
    assert ids(mailbox) == ["m2@acme.example", "m3@acme.example"]


def test_a_run_takes_so_many_and_the_next_goes_on(mailbox, server, monkeypatch):
    monkeypatch.setattr(mailboxes, "MOST_A_RUN", 2)
    for number in range(5):
        server.inbox.add(mail(number))
    assert [fetch(mailbox) for _ in range(4)] == [2, 2, 1, 0]
    assert len(ids(mailbox)) == 5


def test_new_numbering_reads_the_unread_again_and_doubles_nothing(mailbox, server):
    server.inbox.add(mail(1))
    fetch(mailbox)
    server.inbox.messages[0].flags.clear()
    server.inbox.validity = 2
    server.inbox.add(mail(2))
    assert fetch(mailbox) == 2
    assert ids(mailbox) == ["m1@acme.example", "m2@acme.example"]


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 MOVE UIDPLUS", "IMAP4rev1 UIDPLUS"])
def test_mails_are_moved(tenant, capabilities):
    with ImapServer(capabilities=capabilities) as server:
        source = make_mailbox(tenant, server, after_read="move", move_to="Done")
        server.inbox.add(mail(1))
        fetch(source)
        assert server.inbox.messages == []
        assert [message.raw for message in server.folders["Done"].messages] == [mail(1)]
    assert ids(source) == ["m1@acme.example"]


def test_robots_are_put_away_without_a_lead(mailbox, server):
    server.inbox.add(mail(1, **{"Auto-Submitted": "auto-replied"}))
    assert fetch(mailbox) == 1
    assert (ids(mailbox), server.inbox.messages[0].flags) == ([], {"\\Seen"})


# --- faults ---


def test_wrong_password_is_noted_and_cleared_once_right(mailbox, server):
    server.password = "other"
    server.inbox.add(mail(1))
    assert fetch(mailbox) == 0
    source = now(mailbox)
    assert source.last_error == "The mailbox refused the user name or the password."
    assert source.last_error_at is not None
    assert source.checked_at <= timezone.now()
    server.password = "secret"
    assert fetch(mailbox) == 1
    assert (now(mailbox).last_error, now(mailbox).last_error_at) == ("", None)


def test_missing_folder_and_unknown_host_are_noted(tenant, server):
    lost = make_mailbox(tenant, server, folder="Nowhere")
    fetch(lost)
    assert now(lost).last_error == "The mailbox has no folder Nowhere."
    with inside(tenant.pk):
        Source.objects.filter(pk=lost.pk).update(options={"host": "mail.invalid"})
    fetch(lost)
    assert now(lost).last_error == "No server has the name mail.invalid."


def test_nobody_listening_is_noted(tenant, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        source = make_mailbox(tenant, server, port=unused.getsockname()[1])
        fetch(source)
    assert now(source).last_error.startswith("The mailbox does not answer as it should")


@pytest.mark.parametrize("word", ["LOGIN", "SELECT", "FETCH 2", "STORE 2"])
def test_dropped_connection_loses_and_doubles_nothing(mailbox, server, word):
    for number in (1, 2, 3):
        server.inbox.add(mail(number))
    server.drop_at = word
    fetch(mailbox)
    assert now(mailbox).last_error.startswith("The mailbox does not answer")
    server.drop_at = ""
    fetch(mailbox)
    assert ids(mailbox) == ["m1@acme.example", "m2@acme.example", "m3@acme.example"]
    assert now(mailbox).last_error == ""


@pytest.mark.slow
def test_slow_server_is_given_up_by_answer_and_by_run(mailbox, server, monkeypatch):
    server.inbox.add(mail(1))
    server.slow = ("FETCH", 0.5)
    monkeypatch.setattr(mailboxes, "ANSWER_SECONDS", 0.1)
    fetch(mailbox)
    assert "timed out" in now(mailbox).last_error
    monkeypatch.setattr(mailboxes, "ANSWER_SECONDS", 20)
    monkeypatch.setattr(mailboxes, "RUN_SECONDS", 0.2)
    fetch(mailbox)
    assert now(mailbox).last_error.startswith("The mailbox does not answer")
    assert ids(mailbox) == []
    monkeypatch.setattr(mailboxes, "RUN_SECONDS", 20)
    fetch(mailbox)
    assert ids(mailbox) == ["m1@acme.example"]


class _Killed(BaseException):
    pass


def test_killed_between_fetching_and_storing_the_mail_comes_again(mailbox, server, monkeypatch):
    for number in (1, 2):
        server.inbox.add(mail(number))
    stored = mailboxes.receive_mail

    def dies_at_second(*, source, mail):
        if mail.subject == "Question 2":
            raise _Killed
        return stored(source=source, mail=mail)

    monkeypatch.setattr(mailboxes, "receive_mail", dies_at_second)
    with pytest.raises(_Killed):
        fetch(mailbox)
    monkeypatch.setattr(mailboxes, "receive_mail", stored)
    assert fetch(mailbox) == 0, "its lease still runs"
    with inside(mailbox.tenant_id):
        Source.objects.filter(pk=mailbox.pk).update(checked_at=timezone.now())
    fetch(mailbox)
    assert ids(mailbox) == ["m1@acme.example", "m2@acme.example"]


def test_killed_between_storing_and_noting_doubles_nothing(mailbox, server, monkeypatch):
    server.inbox.add(mail(1))

    def dies(*_):
        raise _Killed

    monkeypatch.setattr(mailboxes, "_put_away", dies)
    monkeypatch.setattr(mailboxes, "_note", dies)
    with pytest.raises(_Killed):
        fetch(mailbox)
    monkeypatch.undo()
    assert "seen" not in now(mailbox).options
    with inside(mailbox.tenant_id):
        Source.objects.filter(pk=mailbox.pk).update(checked_at=None)
    assert fetch(mailbox) == 1
    assert (ids(mailbox), server.inbox.messages[0].flags) == (["m1@acme.example"], {"\\Seen"})


def test_one_unreadable_mail_does_not_hold_up_the_others(mailbox, server, monkeypatch):
    for number in (1, 2):
        server.inbox.add(mail(number))
    stored = mailboxes.receive_mail

    def breaks_at_first(*, source, mail):
        if mail.subject == "Question 1":
            raise RuntimeError
        return stored(source=source, mail=mail)

    monkeypatch.setattr(mailboxes, "receive_mail", breaks_at_first)
    fetch(mailbox)
    assert ids(mailbox) == ["m2@acme.example"]
    assert [message.flags for message in server.inbox.messages] == [set(), {"\\Seen"}]
    assert now(mailbox).last_error.startswith("1 mails could not be read.")


def test_absent_database_leaves_the_mail_where_it_is(mailbox, server, monkeypatch):
    server.inbox.add(mail(1))

    def away(**_):
        raise OperationalError

    monkeypatch.setattr(mailboxes, "receive_mail", away)
    with pytest.raises(OperationalError):
        fetch(mailbox)
    assert server.inbox.messages[0].flags == set()
    assert now(mailbox).options["seen"]["last"] == 0


def test_one_worker_at_a_time(mailbox, server):
    server.inbox.add(mail(1))
    with inside(mailbox.tenant_id):
        Source.objects.filter(pk=mailbox.pk).update(checked_at=timezone.now() + mailboxes.LEASE)
    assert (fetch(mailbox), server.commands) == (0, [])


# --- TLS ---


@pytest.fixture
def certificate(tmp_path):
    """One for localhost that nobody signed but itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=9))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = tmp_path / "localhost.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("host", "trusted", "trouble"),
    [("localhost", True, ""), ("localhost", False, "self-signed certificate"), ("127.0.0.1", True, "IP address mismatch")],
)
def test_certificate_is_checked_against_the_name_not_the_address(tenant, certificate, monkeypatch, host, trusted, trouble):
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    ours = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    monkeypatch.setattr(ssl, "create_default_context", lambda: ours)
    with ImapServer(tls=theirs) as server:
        server.inbox.add(mail(1))
        source = make_mailbox(tenant, server, host=host, security="tls")
        fetch(source)
    assert ids(source) == ([] if trouble else ["m1@acme.example"])
    assert trouble in now(source).last_error
    assert bool(now(source).last_error) is bool(trouble)


# --- whose, and where ---


def test_every_tenant_s_active_mailboxes_are_asked(tenant, next_door, server, monkeypatch):
    asked = []
    monkeypatch.setattr(mailboxes.nudge, "task", lambda name, **arguments: asked.append((name, arguments)))
    mine, theirs = make_mailbox(tenant, server), make_mailbox(next_door, server)
    make_mailbox(tenant, server, name="No server", host="")
    off = make_mailbox(tenant, server, name="Off")
    with inside(tenant.pk):
        Source.objects.filter(pk=off.pk).update(is_active=False)
    tasks.fetch_mailboxes()
    assert asked == [
        ("webhooks.fetch_mailbox", {"tenant_id": tenant.pk, "source_id": mine.pk}),
        ("webhooks.fetch_mailbox", {"tenant_id": next_door.pk, "source_id": theirs.pk}),
    ]


def test_task_of_another_tenant_s_mailbox_does_nothing(mailbox, next_door, server):
    tasks.fetch_mailbox(tenant_id=next_door.pk, source_id=mailbox.pk)
    assert server.commands == []


def test_hosts_inside_the_network_are_refused_unless_allowed(mailbox, server, settings):
    settings.ALLOW_PRIVATE_HOSTS = False
    server.inbox.add(mail(1))
    fetch(mailbox)
    assert now(mailbox).last_error.startswith("The mail server's address is not on the open Internet.")
    assert server.commands == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False), ("10.0.0.8", False), ("169.254.169.254", False), ("192.168.1.1", False), ("100.64.0.1", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("2002:7f00:1::", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("8.8.8.8", True), ("2606:4700::1111", True),
    ],
)  # fmt: skip
def test_public_addresses_are_told_from_inner_ones(monkeypatch, settings, address, public):
    settings.ALLOW_PRIVATE_HOSTS = False
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("8.8.8.8", 993)), (2, 1, 6, "", (address, 993))])
    if public:
        assert mailboxes.checked_address("mail.example.com", 993) == "8.8.8.8"
    else:
        with pytest.raises(mailboxes.MailboxTrouble):
            mailboxes.checked_address("mail.example.com", 993)
