"""One key per identity."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.normal import checked_email, clean_text, e164, email_key, international, split_name

quick = hypothesis_settings(max_examples=80, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize(
    ("raw", "region", "stored"),
    [
        ("(415) 555-0134", "US", "+14155550134"), ("415.555.0134", "US", "+14155550134"), ("1-415-555-0134", "US", "+14155550134"),
        ("+1 415 555 0134", "DE", "+14155550134"), ("001 415 555 0134", "DE", "+14155550134"), ("011 44 20 7946 0958", "US", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"), ("+44 (0)20 7946 0958", "US", "+442079460958"), ("030 901820", "DE", "+4930901820"),
        ("tel:+1-415-555-0134", "US", "+14155550134"), ("+1 415 555 0134 ext. 5", "US", "+14155550134"), ("４１５５５５０１３４", "US", "+14155550134"),
        ("555-0134", "US", None), ("123", "US", None), ("call me", "US", None), ("", "US", None), ("+", "US", None), ("+999999999999999999", "US", None),
        ("020 7946 0958", "ZZ", None),
    ],
)  # fmt: skip
def test_phone_is_read_in_any_notation(raw, region, stored):
    assert e164(raw, region=region) == stored


@pytest.mark.parametrize(
    ("phone", "shown"), [("+14155550134", "+1 415-555-0134"), ("+442079460958", "+44 20 7946 0958"), ("ask", "ask"), ("", ""), ("+x", "+x")]
)
def test_phone_is_shown_as_people_read_it(phone, shown):
    assert international(phone) == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jane@Acme.example", "jane@acme.EXAMPLE"),
        ("jane+news@acme.example", "jane@acme.example"),
        ("j.a.n.e@gmail.com", "jane@googlemail.com"),
        ("jane@münchen.example", "jane@xn--mnchen-3ya.example"),
        (" jane@acme.example ", "jane@acme.example"),
    ],
)
def test_same_mailbox_has_one_key(one, other):
    assert email_key(one) == email_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("j.doe@acme.example", "jdoe@acme.example"), ("a@x.example", "a@y.example"), ("+a@x.example", "+b@x.example")]
)
def test_different_mailboxes_have_different_keys(one, other):
    assert email_key(one) != email_key(other)


@pytest.mark.parametrize("text", ["", "jane", "@acme.example", " ", "@"])
def test_what_is_no_address_has_no_key(text):
    assert email_key(text) == ""


@pytest.mark.parametrize("address", ["jane@acme.example", "J.D+x@sub.acme.co.uk", "jane@münchen.example", "o'neil@acme.example"])
def test_addresses_are_taken(address):
    assert checked_email(address).lower() == address.lower()


@pytest.mark.parametrize(
    "address",
    [
        "jane",
        "jane@",
        "@acme.example",
        "jane@acme",
        "a b@acme.example",
        "jane@@acme.example",
        "jane@acme..example",
        "x" * 300 + "@a.example",
        "a\x00@b.example",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(address):
    with pytest.raises(ValueError, match=r"\w+ .*\.$"):
        checked_email(address)


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [
        ("Jane Roe", "Jane", "Roe"), ("Jane", "Jane", ""), ("  Jane \t Roe ", "Jane", "Roe"), ("Jane Ann Roe", "Jane Ann", "Roe"), ("Roe, Jane", "Jane", "Roe"),
        ("Dr. Jane Roe", "Jane", "Roe"), ("Juan de la Vega", "Juan", "de la Vega"), ("John Smith Jr.", "John", "Smith Jr."), ("María-José O'Brien", "María-José", "O'Brien"),
        ("王小明", "王小明", ""), ("Dr.", "Dr.", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_name_is_split(full, first, last):
    assert split_name(full) == (first, last)


@pytest.mark.parametrize(
    ("text", "clean"), [("a\x00b", "a b"), ("  a \r\n\t b ", "a b"), ("\x1b[31m", "[31m"), ("", ""), ("\u00a0a\u2003b", "a b")]
)
def test_text_is_folded_and_control_characters_dropped(text, clean):
    assert clean_text(text) == clean


@quick
@given(text=st.text(max_size=60), region=st.sampled_from(["US", "GB", "DE", "IN", "ZZ", ""]))
def test_nothing_that_can_be_typed_raises(text, region):
    number = e164(text, region=region)
    assert number is None or number.startswith("+")
    international(text)
    assert clean_text(clean_text(text)) == clean_text(text)
    key = email_key(text)
    assert email_key(key) == key
    first, last = split_name(text)
    assert isinstance(first, str)
    assert isinstance(last, str)
    try:
        checked_email(text)
    except ValueError:
        pass


@quick
@given(
    local=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    tag=st.from_regex(r"[a-z]{0,5}", fullmatch=True),
    domain=st.sampled_from(["gmail.com", "acme.example"]),
)
def test_key_ignores_case_and_tags(local, tag, domain):
    assert email_key(f"{local}+{tag}@{domain}") == email_key(f"{local.upper()}@{domain.upper()}")


@quick
@given(digits=st.from_regex(r"[2-9]\d{2}55501\d{2}", fullmatch=True))
def test_any_american_notation_is_one_number(digits):
    notations = [
        digits,
        f"({digits[:3]}) {digits[3:6]}-{digits[6:]}",
        f"1 {digits[:3]} {digits[3:6]} {digits[6:]}",
        f"+1{digits}",
        f"{digits[:3]}.{digits[3:6]}.{digits[6:]}",
    ]
    assert len({e164(text, region="US") for text in notations}) == 1
