"""The design system's tags and filters are pure: values in, text out."""

import datetime as dt
from decimal import Decimal

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.utils import timezone, translation

from crm.web.templatetags import ui

NOON = dt.datetime(2026, 11, 18, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _noon_in_english(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    with translation.override("en"), timezone.override(dt.UTC):
        yield


def render(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Marta Kowalczyk", "MK"),
        ("jonas", "JO"),
        ("Anna Maria van Dijk", "AD"),
        ("sales.team@northwind.example", "ST"),
        ("", "?"),
        (None, "?"),
        ("—", "?"),
    ],
)
def test_initials(name, expected):
    assert ui.initials(name) == expected


def test_hue_is_stable_and_differs_between_neighbours():
    assert [ui.hue(n) for n in range(1, 4)] == [7, 2, 9]
    assert ui.hue("12") == ui.hue(12)
    assert ui.hue("Northwind") == ui.hue("Northwind")
    assert {ui.hue(n) for n in range(12)} == set(range(12))
    assert ui.hue(None) in range(12)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("won", "status-won"),
        ("meeting_scheduled", "status-meeting-scheduled"),
        ("Proposal Sent", "status-proposal-sent"),
        ("failed", "tone-danger"),
        ("", "tone-neutral"),
        (None, "tone-neutral"),
    ],
)
def test_status_class(key, expected):
    assert ui.status_class(key) == expected


def test_status_class_gives_a_tenants_own_status_a_stable_hue():
    assert ui.status_class("nurture_later") == f"hue-{ui.hue('nurture_later')}"


@pytest.mark.parametrize(
    ("score", "expected"), [(100, "A"), (85, "A"), (84, "B"), (70, "B"), (50, "C"), (49.9, "D"), (0, "D"), (None, ""), ("", "")]
)
def test_grade(score, expected):
    assert ui.grade(score) == expected


@pytest.mark.parametrize(
    ("delta", "long", "short"),
    [
        (dt.timedelta(seconds=-10), "just now", "just now"),
        (dt.timedelta(minutes=-5), "5 minutes ago", "5m ago"),
        (dt.timedelta(hours=-3), "3 hours ago", "3h ago"),
        (dt.timedelta(hours=2), "in 2 hours", "in 2h"),
        (dt.timedelta(hours=-26), "yesterday", "yesterday"),
        (dt.timedelta(hours=30), "tomorrow", "tomorrow"),
        (dt.timedelta(days=-4), "4 days ago", "4d ago"),
        (dt.timedelta(days=3), "in 3 days", "in 3d"),
    ],
)
def test_relative(delta, long, short):
    assert ui.relative(NOON + delta) == long
    assert ui.relative(NOON + delta, "short") == short


def test_relative_takes_dates_and_nothing():
    assert ui.relative(NOON.date()) == "today"
    assert ui.relative(NOON.date() + dt.timedelta(days=1)) == "tomorrow"
    assert ui.relative(None) == ""


def test_relative_uses_the_users_day():
    late = NOON.replace(hour=23, minute=30) + dt.timedelta(days=0)
    with timezone.override(dt.timezone(dt.timedelta(hours=2))):
        assert ui.due_class(late) == "due--later"
    assert ui.due_class(late) == "due--today"


def test_relative_follows_the_language():
    with translation.override("de"):
        assert ui.relative(NOON - dt.timedelta(days=4)) == "vor 4 Tagen"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "due--none"),
        (NOON - dt.timedelta(hours=1), "due--overdue"),
        (NOON + dt.timedelta(hours=1), "due--today"),
        (NOON + dt.timedelta(days=2), "due--later"),
        (NOON.date(), "due--today"),
        (NOON.date() - dt.timedelta(days=1), "due--overdue"),
    ],
)
def test_due_class(value, expected):
    assert ui.due_class(value) == expected


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (12400, "EUR", "€12,400"),
        (Decimal("12400.50"), "USD", "$12,400.50"),
        ("99", "INR", "₹99"),
        (-3, "USD", "-$3"),
        (None, "USD", ""),
        ("n/a", "USD", ""),
        (float("nan"), "USD", ""),
    ],
)
def test_money(value, currency, expected):
    assert ui.money(value, currency) == expected


def test_numbers_by_locale():
    assert ui.number(12431) == "12,431"
    assert ui.short_number(12431) == "12.4K"
    assert ui.short_number(310) == "310"
    assert ui.short_money(1_250_000, "EUR") == "€1.2M"
    assert (ui.percent(0.254), ui.percent("0.254", 1), ui.percent(None)) == ("25%", "25.4%", "")
    with translation.override("de"):
        assert ui.number(12431) == "12.431"
        assert ui.money(12400, "EUR") == "12.400\xa0€"
        assert ui.percent(0.254, 1) == "25,4\xa0%"


def test_duration():
    assert ui.duration(dt.timedelta(days=3)) == "3d"
    assert ui.duration(2700, "long") == "45 minutes"
    assert ui.duration(None) == ""


def test_time_ago_carries_the_absolute_time():
    html = render("{% time_ago at 'short' %}", at=NOON - dt.timedelta(minutes=5))
    assert html == '<time datetime="2026-11-18T11:55:00+00:00" title="Nov. 18, 2026, 11:55 a.m." data-relative="short">5m ago</time>'
    assert render("{% time_ago at 'short' '' 'No next step' %}", at=None) == "No next step"


def test_icon_is_decorative_unless_labelled():
    assert 'aria-hidden="true"' in render("{% icon 'phone' %}")
    labelled = render("{% icon 'phone' 20 'icon--lg' 'Call' %}")
    assert 'role="img"' in labelled
    assert 'aria-label="Call"' in labelled
    assert 'class="icon icon--lg"' in labelled
    assert render("{% icon '' %}") == ""


def test_icon_escapes_its_label():
    assert "<script>" not in render("{% icon 'phone' 16 '' label %}", label='"><script>')


def test_icon_refuses_an_unknown_name():
    with pytest.raises(TemplateSyntaxError, match="no icon named 'not-there'"):
        render("{% icon 'not-there' %}")


def test_url_with_keeps_the_other_keys():
    request = RequestFactory().get("/leads", {"status": ["new", "won"], "sort": "name", "page": "2"})
    assert render("{% url_with page=3 %}", request=request) == "?status=new&amp;status=won&amp;sort=name&amp;page=3"
    assert render("{% url_with sort=None page='' %}", request=request) == "?status=new&amp;status=won"
    assert render("{% url_with status=wanted %}", request=request, wanted=["lost"]) == "?status=lost&amp;sort=name&amp;page=2"
    assert render("{% url_with page=2 %}") == "?page=2"


def test_url_without_takes_one_value_and_the_cursor():
    request = RequestFactory().get("/leads", {"status": ["new", "won"], "after": "abc"})
    assert render("{% url_without 'status' 'won' %}", request=request) == "?status=new"
    assert render("{% url_without 'status' %}", request=request) == "?"


def test_keys_are_drawn_as_caps():
    assert ui.keys("g l") == ["G", "L"]
    assert ui.keys("mod+k") == ["⌘/Ctrl", "K"]


def test_get_looks_up():
    assert ui.get({"a": 1}, "a") == 1
    assert ui.get(None, "a") is None
