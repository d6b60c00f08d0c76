"""The columns of the lead list, custom fields among them: heading, sort, and how a cell shows a row of LIST_COLUMNS.

A cell is a function rather than template text: a list shows some four hundred, which templates take several times as long to draw.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.normal import international
from crm.web.templatetags.ui import due_class, hue, icon, initials, status_class, time_ago
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.pages.cells import cell, cell_attributes
from customobjects.selectors import may_edit as may_edit_field
from customobjects.selectors import shown, visible_definitions
from leads.enums import Priority, StatusCategory
from leads.selectors import name_of, owner_name_of
from leads.services.drafts import RECORDS

Row = Mapping[str, Any]
_NOTHING = SafeString("")


def status_cell(row: Row) -> SafeString:
    return format_html(
        '<span class="status {}"><span class="dot" aria-hidden="true"></span>{}</span>',
        status_class(row["status__code"]),
        row["status__label"],
    )


def company_cell(row: Row) -> SafeString:
    # On a narrow screen the status has no column of its own and stands here.
    return format_html('<span class="narrow-only">{}{}</span>{}', status_cell(row), " · " if row["company"] else "", row["company"])


def priority_cell(row: Row) -> SafeString:
    return format_html("{}", Priority(row["priority"]).label)


def score_cell(row: Row) -> SafeString:
    grade, score = row["quality_grade"], row["score"]
    return format_html(
        '<span class="score grade-{}" title="{} {}, {} {}"><span class="grade">{}</span><span class="num">{}</span></span>',
        grade.lower(), _("Score"), score, _("grade"), grade, grade, score,
    )  # fmt: skip


def phone_cell(row: Row) -> SafeString:
    if not row["phone"]:
        return _NOTHING
    return format_html(
        '<a class="inline-edit" href="tel:{}" data-lead="{}" data-row-key="c" data-row-label="{}">{}</a>',
        row["phone"], row["id"], _("Call"), international(row["phone"]),
    )  # fmt: skip


def email_cell(row: Row) -> SafeString:
    return format_html('<a class="inline-edit" href="mailto:{}">{}</a>', row["email"], row["email"]) if row["email"] else _NOTHING


def source_cell(row: Row) -> SafeString:
    return format_html("{}", row["lead_source"])


def owner_cell(row: Row) -> SafeString:
    if row["owner_id"] is None:
        return format_html(
            '<span class="person faint"><span class="avatar avatar--xs avatar--none" aria-hidden="true">{}</span>{}</span>',
            icon("user", 12, "icon--sm"), _("Unassigned"),
        )  # fmt: skip
    name = owner_name_of(row)
    return format_html(
        '<span class="person"><span class="avatar avatar--xs hue-{}" aria-hidden="true">{}</span><span class="name">{}</span></span>',
        hue(row["owner_id"]), initials(name), name,
    )  # fmt: skip


def tags_cell(row: Row) -> SafeString:
    return format_html("{}", ", ".join(row["tags"]))


def follow_up_cell(row: Row) -> SafeString:
    due = row["next_follow_up_at"]
    if due is None and row["status__category"] != StatusCategory.OPEN:
        return mark_safe('<span class="faint">–</span>')
    return format_html('<span class="due {}">{}</span>', due_class(due), time_ago(due, "short", "", _("No next step")))


def contacted_cell(row: Row) -> SafeString:
    return format_html("{}", time_ago(row["last_contact_at"], "short", "", "–"))


def created_cell(row: Row) -> SafeString:
    return format_html("{}", time_ago(row["created_at"], "short"))


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column offered. `sort` is the sort behind its heading, `edits` the field a click on a cell edits in place,
    `attributes` what the cell element bears, `beside` what stands after the part that is edited."""

    heading: Any
    show: Callable[[Row], SafeString]
    sort: str = ""
    edits: str = ""
    attributes: SafeString = _NOTHING
    beside: Callable[[Row], SafeString] | None = None
    is_custom: bool = False
    is_numeric: bool = False


COLUMNS: dict[str, Column] = {
    "company": Column(
        heading=gettext_lazy("Company"), show=company_cell, sort="company", attributes=SafeString(' class="cell-trunc" data-cell="meta"')
    ),
    "status": Column(heading=gettext_lazy("Status"), show=status_cell, edits="status"),
    "priority": Column(heading=gettext_lazy("Priority"), show=priority_cell, sort="priority", edits="priority"),
    "score": Column(heading=gettext_lazy("Score"), show=score_cell, sort="score", attributes=SafeString(' data-cell="side"')),
    "phone": Column(heading=gettext_lazy("Phone"), show=phone_cell, attributes=SafeString(' class="cell-faint"')),
    "email": Column(heading=gettext_lazy("E-mail"), show=email_cell, attributes=SafeString(' class="cell-trunc"')),
    "source": Column(heading=gettext_lazy("Source"), show=source_cell, attributes=SafeString(' class="cell-faint"')),
    "owner": Column(heading=gettext_lazy("Owner"), show=owner_cell, edits="owner"),
    "tags": Column(heading=gettext_lazy("Tags"), show=tags_cell, attributes=SafeString(' class="cell-trunc cell-faint"')),
    "follow_up": Column(
        heading=gettext_lazy("Next follow-up"),
        show=follow_up_cell,
        sort="next_follow_up",
        edits="follow_up",
        attributes=SafeString(' data-cell="meta-end"'),
    ),
    "contacted": Column(
        heading=gettext_lazy("Last contact"), show=contacted_cell, sort="last_contact", attributes=SafeString(' class="cell-faint"')
    ),
    "created": Column(heading=gettext_lazy("Created"), show=created_cell, sort="created_at", attributes=SafeString(' class="cell-faint"')),
}
# The name's column is always there, and first.
NAME = "name"
SHOWN = ("company", "status", "score", "phone", "owner", "follow_up", "created")


def columns_for(actor: Actor) -> dict[str, Column]:
    """The columns an actor may have, by code: the fixed ones, and the custom fields they see that are offered for lists."""
    own = (item for item in visible_definitions(RECORDS, actor) if item.in_list)
    return {**COLUMNS, **{item.name: _custom(item, may_edit=may_edit_field(item, actor)) for item in own}}


def _custom(item: FieldDefinition, *, may_edit: bool) -> Column:
    is_link = item.kind == FieldKind.URL and may_edit

    def show(row: Row) -> SafeString:
        values = row["custom_fields"]
        # A link cannot stand in the link that edits it.
        found = format_html("{}", shown(item, values.get(item.key))) if is_link else cell(item, values)
        return found or (format_html('<span class="faint" title="{}: {}">–</span>', _("Add"), item.label) if may_edit else _NOTHING)

    def follow(row: Row) -> SafeString:
        address = row["custom_fields"].get(item.key)
        if not isinstance(address, str) or not address.startswith(("http://", "https://")):
            return _NOTHING
        return format_html(
            '<a class="btn btn--ghost btn--sm btn--icon cell-open" href="{}" rel="noopener noreferrer" target="_blank" aria-label="{} {}" tabindex="-1">{}</a>',
            address, _("Open"), address, icon("external-link", 12),
        )  # fmt: skip

    return Column(
        heading=item.label,
        show=show,
        edits=item.name if may_edit else "",
        attributes=cell_attributes(item),
        beside=follow if is_link else None,
        is_custom=True,
        is_numeric=item.kind in (FieldKind.NUMBER, FieldKind.MONEY),
    )


def drawn(
    rows: Sequence[Row],
    *,
    columns: Mapping[str, Column],
    base: str,
    query: str,
    may_edit: bool,
    may_select: bool,
    sized: Collection[str] = (),
) -> SafeString:
    """The table rows of a page of leads. `base` is the address of leads, `query` what a link to one carries on.

    Columns in `sized` were given a width: they cut their text off.
    """
    cells = [(column, _attributes(code, column.attributes, sized)) for code, column in columns.items()]
    name = _attributes(NAME, SafeString(' class="cell-name" data-cell="lead"'), sized)
    return _joined([_drawn(row, name, cells, f"{base}{row['id']}", query, may_edit=may_edit, may_select=may_select) for row in rows])


def _attributes(code: str, attributes: SafeString, sized: Collection[str]) -> SafeString:
    return attributes + SafeString(" data-sized") if code in sized else attributes


def _joined(parts: Sequence[SafeString]) -> SafeString:
    return mark_safe("".join(parts))  # noqa: S308 -- each part is safe


def _drawn(
    row: Row,
    name_attributes: SafeString,
    columns: Sequence[tuple[Column, SafeString]],
    href: str,
    query: str,
    *,
    may_edit: bool,
    may_select: bool,
) -> SafeString:
    name, peek = name_of(row), _("Peek")
    cells = []
    if may_select:
        cells.append(
            format_html(
                '<td class="cell-check"><label><input type="checkbox" name="ids" value="{}" form="bulk" data-select-row aria-label="{}: {}"></label></td>',
                row["id"], _("Select"), name,
            )
        )  # fmt: skip
    head = format_html(
        '<td{}><div class="wrap-name">'
        '<span class="avatar hue-{}" aria-hidden="true">{}</span><a class="row-link" href="{}?{}" data-row-link>{}</a>'
        '<a class="btn btn--ghost btn--sm btn--icon row-peek" href="{}" data-peek hx-get="{}/peek" hx-target="#peek-body" '
        'hx-swap="innerHTML" aria-label="{}: {}" title="{}" tabindex="-1">{}</a></div></td>',
        name_attributes, hue(row["id"]), initials(name), href, query, name, href, href, peek, name, peek, icon("panel-right"),
    )  # fmt: skip
    cells.append(head)
    for column, attributes in columns:
        text = column.show(row)
        if column.edits and may_edit:
            text = format_html(
                '<a class="inline-edit" href="{}" data-edit hx-get="{}/fields/{}" hx-target="closest td" hx-swap="innerHTML">{}</a>',
                href, href, column.edits, text,
            )  # fmt: skip
        if column.beside:
            text += column.beside(row)
        cells.append(format_html("<td{}>{}</td>", attributes, text))
    return format_html('<tr data-row id="lead-{}">{}</tr>\n', row["id"], _joined(cells))
