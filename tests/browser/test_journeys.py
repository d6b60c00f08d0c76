"""What a person does, from signing up to editing a lead, with the mouse and without."""

import re
from pathlib import Path

import pytest
from django.core import mail
from playwright.sync_api import expect

from activities.models import Activity
from crm.events.services import deliver_outbox
from crm.identity.models import User
from crm.operations import runner
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from tests.browser.conftest import Site
from tests.factories import inside, make_lead, make_tenant, make_user

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROWS = 10_000


def import_unchecked(site: Site, path: Path) -> None:
    """Take a file through the wizard as it is mapped by itself."""
    page = site.open("/leads/import")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Upload and continue").click()
    for step in ("map", "options"):
        page.wait_for_url(f"**/{step}")
        page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/check")
    page.get_by_role("button", name="Start import").click()


def test_sign_up_verify_import_find_and_edit(site, tmp_path):
    page = site.open("/register")
    page.get_by_label("First name").fill("Jane")
    page.get_by_label("Last name").fill("Roe")
    page.get_by_label("Company").fill("Roe Trading")
    page.get_by_label("E-mail").fill("jane@roe.example")
    page.get_by_label("Username").fill("jane")
    page.get_by_label(re.compile("^Password")).fill("correct-horse-battery")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/verify*")

    assert deliver_outbox() >= 1
    code = re.search(r"\b\d{6}\b", mail.outbox[-1].body)[0]
    page.get_by_label("Code", exact=False).fill(code)
    page.get_by_role("button", name="Verify").click()
    page.wait_for_url(site.url + "/")

    path = tmp_path / "people.csv"
    with path.open("w") as file:
        file.write("Name,E-mail,Phone,Company\n")
        file.writelines(f"Person{n} Buyer,person{n}@import.example,+1212555{n % 10000:04d},Company {n % 500}\n" for n in range(ROWS))
    import_unchecked(site, path)
    page.wait_for_url(re.compile(r"/operations/\d+"))
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()

    user = User.identities.get(email="jane@roe.example")
    with tenant_scope(user.tenant_id):
        operation = Operation.objects.get()
    runner.run(operation.pk)
    expect(page.get_by_text("100%")).to_be_visible()
    with tenant_scope(user.tenant_id):
        operation.refresh_from_db()
        assert (operation.done, operation.created, operation.failed) == (ROWS, ROWS, 0)

    site.open("/leads")
    page.get_by_role("searchbox", name="Search leads").fill("person4711")
    row = page.get_by_role("row", name=re.compile("Person4711 Buyer"))
    expect(row).to_be_visible()
    expect(page.locator("#rows [data-row]")).to_have_count(1)
    page.get_by_role("link", name="Person4711 Buyer", exact=True).click()
    page.wait_for_url(re.compile(r"/leads/\d+"))

    cell = page.locator(".record-side dd", has_text="Company 211")
    cell.get_by_role("link").click()
    field = page.locator(".record-side dd form.inline-form").get_by_role("textbox")
    field.fill("Better Company")
    field.press("Enter")
    expect(page.locator(".record-side dd", has_text="Better Company")).to_be_visible()
    page.reload()
    expect(page.locator(".record-side dd", has_text="Better Company")).to_be_visible()
    with tenant_scope(user.tenant_id):
        assert Lead.objects.get(email="person4711@import.example").company == "Better Company"
    assert site.complaints == []


def test_keyboard_alone_signs_in_finds_and_edits_a_lead(site):
    tenant = make_tenant()
    user = make_user(tenant, role="manager", email="keys@home.example")
    for name in ("Ann", "Bob", "Cid"):
        make_lead(tenant, first_name=name, company=f"{name} Ltd")
    page = site.open("/sign-in")
    keys = page.keyboard
    expect(page.get_by_label("E-mail")).to_be_focused()
    keys.type(user.email)
    keys.press("Tab")
    if not page.get_by_label(re.compile("^Password")).evaluate("field => field === document.activeElement"):
        keys.press("Tab")
    keys.type("correct-horse-battery")
    keys.press("Enter")
    page.wait_for_url(site.url + "/")

    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keys.type("gl")
    page.wait_for_url("**/leads")

    keys.type("jj")
    expect(page.locator("[data-row].is-current")).to_contain_text("Bob")
    keys.press("p")
    expect(page.locator("#peek")).to_contain_text("Bob Ltd")
    keys.press("Escape")
    expect(page.locator("#peek")).not_to_be_visible()
    keys.press("/")
    expect(page.get_by_role("searchbox", name="Search leads")).to_be_focused()
    keys.type("cid")
    expect(page.locator("#rows [data-row]")).to_have_count(1)
    keys.press("Tab")
    keys.press("Escape")
    page.locator("body").evaluate("() => document.activeElement.blur()")
    keys.press("j")
    keys.press("Enter")
    page.wait_for_url(re.compile(r"/leads/\d+"))

    keys.press("n")
    expect(page.get_by_role("textbox", name="What it is about")).to_be_focused()
    keys.type("Called from the keyboard")
    keys.press("Control+Enter")
    expect(page.locator("#timeline")).to_contain_text("Called from the keyboard")
    page.wait_for_load_state("load")
    with inside(tenant.pk):
        assert Activity.objects.get(lead__first_name="Cid", activity_type="note").description == "Called from the keyboard"

    keys.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    keys.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    keys.type("ann")
    expect(page.get_by_role("option", name=re.compile("Ann"))).to_be_visible()
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Ann").first).to_be_visible()
    assert site.complaints == []


def test_edit_that_is_refused_says_so_and_escape_puts_the_value_back(site):
    tenant = make_tenant()
    lead = make_lead(tenant, first_name="Ann", email="ann@acme.example")
    site.sign_in(make_user(tenant))
    page = site.open(f"/leads/{lead.pk}")
    cell = page.locator(".record-side dd", has_text="ann@acme.example")
    box = page.locator(".record-side dd").filter(has=page.locator("form.inline-form"))
    cell.get_by_role("link").click()
    box.get_by_role("textbox").fill("not an address")
    box.get_by_role("textbox").press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".record-side")).to_contain_text("ann@acme.example")
    with inside(tenant.pk):
        assert Lead.objects.get().email == "ann@acme.example"
    assert site.complaints == []


def test_import_is_mapped_checked_and_mended_in_place(site, tmp_path):
    tenant = make_tenant()
    site.sign_in(make_user(tenant, role="manager"))
    path = tmp_path / "fair.csv"
    path.write_text("Who,Reach,Extra\nAnn Archer,ann@acme.example,1\nBob Baker,bob at acme,2\nCid Cole,@,3\n")
    page = site.open("/leads/import")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Upload and continue").click()
    page.wait_for_url("**/map")

    who, reach = page.get_by_label("Who", exact=True), page.get_by_label("Reach", exact=True)
    who.select_option(label="Full name")
    expect(reach.locator("option", has_text="Full name")).to_be_disabled()
    reach.select_option(label="E-mail")
    expect(page.get_by_label("Name of the own field for Extra")).to_be_visible()
    expect(page.get_by_label("Name of the own field for Reach")).to_be_hidden()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/options")
    expect(page.get_by_label("When a lead is updated")).to_be_hidden()
    page.get_by_label("Update them, add the others").check()
    expect(page.get_by_label("When a lead is updated")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/check")

    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    with inside(tenant.pk):
        check = Operation.objects.get(kind="leads.import_check")
    runner.run(check.pk)
    expect(page.get_by_role("heading", name="Rows that would fail")).to_be_visible()

    bob = page.locator("#row-3")
    bob.get_by_role("link", name="bob at acme").click()
    field = bob.get_by_role("textbox", name="Reach")
    field.press("Escape")
    expect(bob.get_by_role("link", name="bob at acme")).to_be_focused()
    page.keyboard.press("Enter")
    field.evaluate("input => input.removeAttribute('maxlength')")
    field.fill("x" * 5001)
    field.press("Enter")
    expect(bob.get_by_role("alert")).to_be_visible()
    field.fill("bob@acme.example")
    field.press("Enter")
    expect(bob.get_by_role("link", name="bob@acme.example")).to_be_focused()
    expect(bob).to_contain_text("mended")
    page.get_by_role("button", name="Leave row 4 out").click()
    expect(page.get_by_role("button", name="Import row 4 after all")).to_be_focused()
    expect(page.locator("#changes")).to_contain_text("1 row mended · 1 row left out")

    page.get_by_role("button", name="Start import").click()
    page.wait_for_url(re.compile(r"/operations/\d+"))
    with inside(tenant.pk):
        operation = Operation.objects.get(kind="leads.import")
    runner.run(operation.pk)
    expect(page.get_by_text("100%")).to_be_visible()
    page.get_by_role("link", name="Created").click()
    expect(page.locator("#rows [data-row]")).to_have_count(2)
    expect(page.get_by_role("group", name="Filters in force")).to_contain_text("Import of fair.csv")
    assert site.complaints == []


def test_pages_work_without_scripts(site, browser):
    tenant = make_tenant()
    lead = make_lead(tenant, first_name="Ann")
    user = make_user(tenant)
    context = browser.new_context(java_script_enabled=False)
    site.page = context.new_page()
    site.sign_in(user)
    page = site.open("/leads?search=ann")
    page.get_by_role("link", name="Ann", exact=True).click()
    page.wait_for_url(re.compile(rf"/leads/{lead.pk}"))
    page = site.open(f"/leads/{lead.pk}/edit")
    page.get_by_label("Company", exact=True).fill("Plain Ltd")
    page.get_by_role("button", name=re.compile("Save")).click()
    page.wait_for_url(re.compile(rf"/leads/{lead.pk}$"))
    expect(page.locator("body")).to_contain_text("Plain Ltd")
    context.close()
