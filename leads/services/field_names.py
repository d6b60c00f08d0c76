"""The names under which forms and files give a lead's fields."""

from crm.normal import clean_text

_NAMES = {
    "id": ("lead id", "salesmagnet id"),
    "name": ("name", "full name", "fullname", "your name", "contact", "contact name", "lead name"),
    "first_name": ("first name", "firstname", "fname", "given name", "forename"),
    "last_name": ("last name", "lastname", "lname", "surname", "family name"),
    "email": ("email", "e mail", "email address", "work email", "business email", "company email", "mail", "email id"),
    "phone": (
        "phone",
        "phone number",
        "telephone",
        "tel",
        "mobile",
        "mobile phone",
        "cell",
        "phone e164",
        "work phone",
        "work phone number",
        "business phone",
    ),
    "company": ("company", "company name", "organization", "organisation", "account", "employer", "business"),
    "title": ("title", "job title", "position", "role", "designation"),
    "website": ("website", "web site", "url", "homepage"),
    "industry": ("industry", "sector"),
    "company_size": ("company size", "employees", "number of employees", "size"),
    "city": ("city", "town"),
    "state": ("state", "region", "province"),
    "country": ("country",),
    "notes": ("notes", "note", "message", "comments", "comment", "description", "remarks"),
    "lead_source": ("lead source", "source", "origin"),
    "tags": ("tags", "tag", "labels"),
    "priority": ("priority",),
    "status": ("status", "stage", "lead status"),
    "owner": ("owner", "assigned to", "assigned user", "owner email", "sales rep"),
    "created_at": ("created at", "created", "created on", "date created", "created date"),
    "next_follow_up_at": ("next follow up", "follow up", "follow up date"),
}
_BY_NAME = {name: field for field, names in _NAMES.items() for name in names}
FIELDS = tuple(_NAMES)


def field_named(header: str) -> str | None:
    """The lead's field that a header or form field means; None where it is a field of the tenant's own."""
    words = clean_text(header).casefold()
    for char in "_-.:*?":
        words = words.replace(char, " ")
    return _BY_NAME.get(" ".join(words.split()))
