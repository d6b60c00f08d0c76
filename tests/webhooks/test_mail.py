"""Mails: how they are read, and what is made of them."""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime

import orjson
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from leads.models import Arrival, Lead
from tests.factories import inside, make_lead
from tests.webhooks.test_inbound import make_source, url
from webhooks.api import inbound as door
from webhooks.enums import SourceKind
from webhooks.services.mail import html_text, read_mail
from webhooks.services.mailroom import form_lines, split_reply

PLAIN = b"""From: Jane Roe <jane@acme.example>
To: leads@home.example
Subject: A question
Date: Mon, 02 Mar 2026 10:00:00 +0100
Message-ID: <abc@acme.example>
Content-Type: text/plain; charset=utf-8

Hello, what does it cost?

--
Jane Roe
+1 212 736 5000
"""


@pytest.fixture
def source(tenant):
    return make_source(tenant, kind=SourceKind.EMAIL, name="Mails")


def send(source, raw: bytes, content_type="message/rfc822", **headers):
    return Client().generic("POST", url(source, "email"), raw, content_type=content_type, **headers)


def lead(source) -> Lead | None:
    with inside(source.tenant_id):
        return Lead.objects.order_by("-pk").first()


def arrivals(source) -> list[Arrival]:
    with inside(source.tenant_id):
        return list(Arrival.objects.order_by("pk"))


def mail(body: str = "Hello", **headers: str) -> bytes:
    lines = {"From": "Jane Roe <jane@acme.example>", "Subject": "Hi", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return "".join(f"{name}: {value}\n" for name, value in lines.items()).encode() + b"\n" + body.encode()


# --- reading ---


def test_plain_mail_is_read_whole():
    read = read_mail(PLAIN)
    assert (read.from_name, read.from_address, read.to, read.subject) == (
        "Jane Roe",
        "jane@acme.example",
        "leads@home.example",
        "A question",
    )
    assert (read.message_id, read.date, read.return_path) == ("abc@acme.example", datetime(2026, 3, 2, 9, tzinfo=UTC), None)
    assert read.text == "Hello, what does it cost?\n\n--\nJane Roe\n+1 212 736 5000"


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("utf-8", "Grüße".encode("latin-1"), "Grüße"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("base64", b"Hello", "Hello"),
        ("punycode", b"Hello", "Hello"),
        ("", "Grüße".encode("cp1252"), "Grüße"),
        ("shift_jis", "こんにちは".encode("shift_jis"), "こんにちは"),
    ],
)
def test_text_is_read_in_whatever_charset(charset, content, text):
    assert read_mail(f"From: a@b.example\nContent-Type: text/plain; charset={charset}\n\n".encode() + content).text == text


@pytest.mark.parametrize(
    ("header", "name", "address"),
    [
        (b"=?utf-8?q?J=C3=A9r=C3=B4me=2C_A=2E?= <j@b.example>", "Jérôme, A.", "j@b.example"),
        ("Jérôme <j@b.example>".encode(), "Jérôme", "j@b.example"),
        ("Jérôme <j@b.example>".encode("latin-1"), "Jérôme", "j@b.example"),
        (b"Roe, Jane <j@b.example>", "Jane", "j@b.example"),
        (b'"Roe, Jane" <j@b.example>', "Roe, Jane", "j@b.example"),
        (b"j@b.example", "", "j@b.example"),
        (b"=?x?b?###?= <j@b.example>", "", "j@b.example"),
        (b"nobody", "", ""),
    ],
)
def test_sender_is_read_however_written(header, name, address):
    read = read_mail(b"From: " + header + b"\n\nx")
    assert read.from_address == address
    assert read.from_name == name


def test_nested_parts_calendar_and_attachments():
    big = base64.encodebytes(b"x" * 300_000).decode()
    raw = f"""From: a@b.example
Content-Type: multipart/mixed; boundary=o

--o
Content-Type: multipart/alternative; boundary=i

--i
Content-Type: text/html

<p>Rich</p>
--i
Content-Type: text/plain

Plain
--i--
--o
Content-Type: text/calendar

BEGIN:VCALENDAR
--o
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.pdf

{big}
--o--
"""
    read = read_mail(raw.encode())
    assert read.text == "Plain"
    assert [(item["name"], item["type"]) for item in read.attachments] == [
        ("text/calendar", "text/calendar"),
        ("grüße.pdf", "application/pdf"),
    ]
    assert abs(read.attachments[1]["size"] - 300_000) < 10_000


def test_html_alone_is_read_as_text():
    html = "<html><head><title>t</title><style>p{}</style></head><body><p>Hello&nbsp;&amp; <b>welcome</b><br>Bye</p><script>x<y</script>1 < 2</body>"
    assert [line for line in html_text(html).replace("\xa0", " ").split("\n") if line] == ["Hello & welcome", "Bye", "1 < 2"]
    read = read_mail(b"From: a@b.example\nContent-Type: text/html\n\n<div>One</div><div>Two</div>")
    assert read.text == "One\n\nTwo"


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "<a " * 300_000, "<!--" * 250_000, "<script>" * 120_000, "<" * 900_000, "&" * 900_000, "<a href='" * 100_000, "</style" * 120_000,
        "On " * 300_000, "Le " * 300_000, "Am " * 300_000, "El " * 300_000, "On " + "a" * 900_000, "On a\n" * 200_000, "\n" * 900_000, "From: a\n" * 100_000, "> " * 400_000, "- a\n" * 200_000, "CAUTION: mail " * 60_000,
        "Name: " * 100_000, "12 " * 300_000, "_" * 900_000, "@" * 900_000, "a@" * 400_000,
    ],
    ids=lambda body: body[:8].strip() or "lines",
)  # fmt: skip
def test_mails_made_to_cost_time_do_not(source, body):
    started = time.perf_counter()
    for kind in ("plain", "html"):
        read = read_mail(f"From: a@b.example\nContent-Type: text/{kind}\n\n{body}".encode())
        split_reply(read.text)
        form_lines(read.text)
    assert time.perf_counter() - started < 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b"<" * 2_000_000, b"From: " + b"a@b.example, " * 200_000, b"Content-Type: text/plain" + b";" * 2_000_000 + b"\n\nx",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 300_000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)),
        b"Content-Type: message/rfc822\n\n" * 5000, b"a: b\n" * 1_000_000, b"Subject: " + b"=?utf-8?b?" * 100_000,
        b"Date: " + b"1 " * 500_000, b'Content-Type: text/plain; name="' + b'\\"' * 500_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_structures_made_to_cost_time_do_not(raw):
    started = time.perf_counter()
    read_mail(raw)
    assert time.perf_counter() - started < 6


@hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    raw=st.lists(
        st.sampled_from(
            [b"From: ", b"To: ", b"Date: ", b"Subject: ", b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/html; charset=", b"utf-7",
             b"\n", b"\n\n", b"--b\n", b"--b--\n", b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"x-uuencode", b"begin 1 a\n",
             b"Content-Disposition: attachment; filename", b"*0*=", b"utf-8''%ff", b"=?utf-8?q?=ff?=", b"<", b">", b"@", b"message/rfc822"]
        ) | st.binary(max_size=12),
        max_size=30,
    ).map(b"".join)
)  # fmt: skip
def test_reading_never_raises(raw):
    orjson.dumps(read_mail(raw).as_payload())


# --- becoming a lead ---


def test_mail_becomes_a_lead_with_the_phone_of_its_signature(source):
    answer = send(source, PLAIN)
    made, (arrival,) = lead(source), arrivals(source)
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "lead_id": made.pk, "arrival_id": arrival.pk, "message": "Lead received successfully"},
    )
    assert (made.full_name, made.email, made.phone, made.lead_source, made.platform_key) == (
        "Jane Roe",
        "jane@acme.example",
        "+12127365000",
        "E-mail",
        "email",
    )
    assert made.notes == "A question\n\nHello, what does it cost?"
    assert (arrival.source_lead_id, arrival.door, arrival.door_id) == ("abc@acme.example", "email", source.pk)
    assert (arrival.created_time, arrival.payload["message"]["subject"]) == (datetime(2026, 3, 2, 9, tzinfo=UTC), "A question")


def test_same_mail_is_one_arrival_and_a_second_one_joins(source):
    first = send(source, PLAIN).json()
    assert send(source, PLAIN).json() == first
    again = send(source, mail(From="JANE@acme.example", Message_ID="<2@x>")).json()
    assert (again["lead_id"], len(arrivals(source))) == (first["lead_id"], 2)


def test_mail_without_an_id_is_known_by_its_content(source):
    assert send(source, mail()).json() == send(source, mail()).json()
    send(source, mail("Other"))
    assert len(arrivals(source)) == 2


def test_two_phones_are_nobody_s_in_particular(source):
    send(source, mail("Call +1 212 736 5000 or +1 202 456 1111"))
    assert lead(source).phone == ""


def test_quoted_thread_is_cut_from_the_notes(source):
    send(
        source,
        mail("Yes please.\n\nOn Mon, Mar 2, 2026 at 9:00 AM Bob <bob@home.example> wrote:\n> Name: Bob\n> Email: bob@home.example\n"),
    )
    assert (lead(source).notes, lead(source).email) == ("Hi\n\nYes please.", "jane@acme.example")


FORM = "Name: John Doe\nE-mail: <john@visitor.example>\nPhone: +1 202 456 1111\nShoe size: 9\nMessage: I want\ntwo of them.\n"


def test_form_sent_on_beats_its_sender(source):
    send(source, mail(FORM, From="Site <noreply@site.example>"))
    made = lead(source)
    assert (made.full_name, made.email, made.phone) == ("John Doe", "john@visitor.example", "+12024561111")
    assert made.notes == "Hi\n\nI want\ntwo of them."


def test_form_without_an_address_takes_reply_to_and_never_the_mailer(source):
    send(source, mail("Name: John Doe\nCompany: Acme", From="noreply@mail.formspree.io", Reply_To="john@visitor.example"))
    assert (lead(source).full_name, lead(source).email) == ("John Doe", "john@visitor.example")
    send(source, mail("Name: Jim Doe\nPhone: +1 202 456 1111", From="noreply@site.example"))
    assert (lead(source).full_name, lead(source).email) == ("Jim Doe", "")


def test_reply_to_counts_where_the_source_says_so(tenant):
    source = make_source(tenant, kind=SourceKind.EMAIL, options={"use_reply_to": True})
    send(source, mail(Reply_To="john@visitor.example"))
    assert lead(source).email == "john@visitor.example"


def test_colleague_s_mail_is_left_out_unless_it_brings_somebody(source, bob, alice):
    own = f"Bob <{bob.email.upper()}>"
    assert send(source, mail("Lunch?\n\nPhone: 1\nTitle: Rep", From=own)).json()["lead_id"] is None
    assert send(source, mail(f"Name: Bob\nEmail: {alice.email}", From=own, Subject="Fwd: x")).json()["arrival_id"] is None
    assert arrivals(source) == []
    assert send(source, mail("See below\n\n---------- Forwarded message ---------\nFrom: Site\n\n" + FORM, From=own)).json()["lead_id"]
    assert (lead(source).full_name, lead(source).email) == ("John Doe", "john@visitor.example")


def test_source_s_defaults_are_given(tenant, bob):
    source = make_source(tenant, kind=SourceKind.EMAIL, lead_source="Event", tags=["fair"], default_owner=bob)
    send(source, mail())
    assert (lead(source).lead_source, lead(source).tags, lead(source).owner_id) == ("Event", ["fair"], bob.pk)


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"}, {"Auto_Submitted": "auto-generated; x"}, {"Precedence": "Bulk"}, {"Precedence": "list"},
        {"Precedence": "junk"}, {"Return_Path": "<>"}, {"From": "MAILER-DAEMON@x.example"}, {"From": "postmaster@x.example"},
        {"From": "no-reply@x.example"}, {"From": "donotreply+1@x.example"}, {"X_Auto_Response_Suppress": "All"}, {"List_Id": "<l.x.example>"},
    ],
)  # fmt: skip
def test_robots_are_answered_and_not_kept(source, headers):
    answer = send(source, mail(**headers))
    assert (answer.status_code, answer.json()["success"], answer.json()["lead_id"], answer.json()["arrival_id"]) == (200, True, None, None)
    assert arrivals(source) == []


@pytest.mark.parametrize("headers", [{"Auto_Submitted": "no"}, {"Return_Path": "<jane@acme.example>"}, {"Precedence": "normal"}])
def test_people_are_no_robots(source, headers):
    assert send(source, mail(**headers)).json()["lead_id"] is not None


# --- providers ---


def test_sendgrid_fields_and_raw(source):
    fields = {
        "from": "Jane Roe <jane@acme.example>",
        "subject": "Hi",
        "text": "Hello",
        "headers": "Message-ID: <sg@x>\nReceived: x\n",
        "envelope": '{"from":"jane@acme.example"}',
        "attachment1": SimpleUploadedFile("a.pdf", b"%PDF", content_type="application/pdf"),
    }
    assert Client().post(url(source, "email"), fields).json()["lead_id"] == lead(source).pk
    (arrival,) = arrivals(source)
    assert (arrival.source_lead_id, arrival.payload["message"]["attachments"]) == (
        "sg@x",
        [{"name": "a.pdf", "type": "application/pdf", "size": 4}],
    )
    Client().post(url(source, "email"), {"email": PLAIN.decode(), "from": "other@x.example"})
    assert arrivals(source)[1].source_lead_id == "abc@acme.example"
    bounce = Client().post(url(source, "email"), {**fields, "envelope": '{"from":""}', "headers": "Message-ID: <b@x>"})
    assert bounce.json()["arrival_id"] is None


def mailgun(key: str, at: float, **more: str) -> dict[str, str]:
    stamp = str(int(at))
    digest = hmac.new(key.encode(), f"{stamp}token".encode(), hashlib.sha256).hexdigest()
    fields = {
        "sender": "bounce@acme.example",
        "from": "Jane <jane@acme.example>",
        "subject": "Hi",
        "body-plain": "Hello\n> old",
        "stripped-text": "Hello",
    }
    return {**fields, "Message-Id": "<mg@x>", "timestamp": stamp, "token": "token", "signature": digest, **more}


def test_mailgun_fields_are_checked_with_its_key(tenant):
    source = make_source(tenant, kind=SourceKind.EMAIL, options={"mailgun_key": "key"})
    for fields in (
        mailgun("other", time.time()),
        mailgun("key", time.time() - 2 * 86400),
        mailgun("key", time.time(), timestamp="²"),
        {"from": "a@b.example"},
    ):
        assert Client().post(url(source, "email"), fields).status_code == 403
    headers = orjson.dumps([["Auto-Submitted", "auto-replied"]]).decode()
    assert Client().post(url(source, "email"), {**mailgun("key", time.time()), "message-headers": headers}).json()["arrival_id"] is None
    assert Client().post(url(source, "email"), mailgun("key", time.time())).json()["lead_id"] == lead(source).pk
    assert (lead(source).notes, arrivals(source)[0].source_lead_id) == ("Hi\n\nHello", "mg@x")


def test_postmark_fields(source):
    body = {
        "FromFull": {"Email": "jane@acme.example", "Name": "Roe, Jane"},
        "Subject": "Hi",
        "HtmlBody": "<p>Hello</p>",
        "MessageID": "pm-1",
        "Headers": [{"Name": "X-Spam", "Value": "no"}],
        "Attachments": [{"Name": "a.pdf", "ContentType": "application/pdf", "ContentLength": 4, "Content": "AAAA"}],
    }
    send(source, orjson.dumps(body), content_type="application/json")
    (arrival,) = arrivals(source)
    assert (lead(source).email, lead(source).notes, arrival.source_lead_id) == ("jane@acme.example", "Hi\n\nHello", "pm-1")
    assert arrival.payload["message"]["from_name"] == "Roe, Jane"
    assert arrival.payload["message"]["attachments"] == [{"name": "a.pdf", "type": "application/pdf", "size": 4}]


def test_raw_in_json_is_read_as_it_is(source):
    send(source, orjson.dumps({"raw": PLAIN.decode()}), content_type="application/json")
    assert arrivals(source)[0].source_lead_id == "abc@acme.example"


def test_known_lead_is_joined(source, tenant):
    known = make_lead(tenant, email="jane@acme.example")
    assert send(source, PLAIN).json()["lead_id"] == known.pk


def test_size_is_bounded(source, monkeypatch):
    monkeypatch.setattr(door, "LARGEST", 1000)
    answer = send(source, PLAIN + b"x" * 1000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_mail_over_django_s_own_limit_is_taken(source, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    attached = PLAIN + b"x" * 5000
    assert send(source, attached).status_code == 200
    assert Client().post(url(source, "email"), {"email": attached.decode()}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"from": 5}', b"{"])
def test_what_is_no_mail_is_400(source, content):
    answer = send(source, content, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.slow
@hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(
    content=st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["from", "From", "FromFull", "raw", "email", "text", "html", "headers", "Headers", "message-headers", "envelope",
                         "Attachments", "MessageID", "Date", "subject", "To"]),
        st.text(max_size=20) | st.none() | st.integers(0, 9) | st.just({"Email": "a@b.example"}) | st.just([{"Name": 1}, ["a", 2], 3])
        | st.just("a@b.example") | st.just('["x"]') | st.just("\x00<a@b.example>\n\nName: \x00"),
        max_size=6,
    ).map(orjson.dumps),
    content_type=st.sampled_from(["application/json", "message/rfc822", "", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"]),
)  # fmt: skip
def test_no_body_is_a_server_error(source, content, content_type):
    answer = send(source, content, content_type=content_type)
    assert answer.status_code in (200, 400), answer.content
