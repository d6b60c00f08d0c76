"""Put an import together: its draft, rows of its file as they stand, and single rows mended or left out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from crm.actors import Actor
from crm.errors import InvalidInput, NotFound
from crm.operations.enums import RowOutcome, State
from crm.operations.models import Operation, OperationRow
from crm.operations.selectors import rows_after
from crm.operations.services import AlreadyOver
from crm.tables import BadRow, Layout, TableRows
from leads.models import ImportMapping
from leads.permissions import IMPORT
from leads.services.import_rows import Rules, row_problem, rules_of
from leads.services.imports import CHECK_KIND, KIND, configure_import

FIRST_ROWS = 50
# Of all mended cells together: they travel with the operation.
MOST_MENDED_TEXT = 1_000_000
_OPTIONS = ("mapping", "edits", "on_duplicate", "match_by", "keep_existing", "lead_source", "tags", "owner_id", "enrich")


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """A row of an import's file with what was mended in it. `wrong` is the header of the cell that `problem` is about."""

    number: int
    values: dict[str, str]
    problem: str = ""
    wrong: str = ""
    # What cannot be told apart into cells can only be left out.
    mendable: bool = True
    mended: frozenset[str] = frozenset()
    dropped: bool = False


# --- the draft and its checks ---


def find_import(*, operation_id: int, lock: bool = False, by: Actor) -> Operation:
    """One's own import that is still a draft. Raises NotFound, or AlreadyOver for one that was started."""
    by.require(IMPORT)
    imports = Operation.objects.filter(kind=KIND, created_by_id=by.user_id)
    imports = imports.select_for_update(of=("self",)) if lock else imports
    operation = imports.filter(pk=operation_id).first() if operation_id < 2**63 else None
    if operation is None:
        raise NotFound("No such import.")
    if operation.state != State.DRAFT:
        raise AlreadyOver("This import was started already.")
    return operation


def latest_check(draft: Operation) -> Operation | None:
    """The last dry run of a draft."""
    # Begun later than the draft: few operations are, so that the parameters of few are read.
    return Operation.objects.filter(kind=CHECK_KIND, pk__gt=draft.pk, params__import=draft.pk).order_by("-pk").first()


def is_outdated(check: Operation, draft: Operation) -> bool:
    """Whether the draft was changed since the check."""
    return any(check.params.get(name) != draft.params.get(name) for name in _OPTIONS)


def remembered_mapping(draft: Operation) -> dict[str, str]:
    """How the last file with this one's headers was mapped; empty where there was none."""
    fingerprint = Layout(**draft.params["layout"]).fingerprint
    return ImportMapping.objects.filter(fingerprint=fingerprint).values_list("mapping", flat=True).first() or {}


# --- rows ---


def failing_rows(*, draft: Operation, check: Operation, cursor: str, limit: int, by: Actor) -> tuple[list[SheetRow], str | None]:
    """One page of the rows that failed the check, as they stand by now, and the cursor of the next page."""
    kept, following = rows_after(check, outcome=RowOutcome.FAILED, cursor=cursor, limit=limit)
    rules = rules_of(draft, by)
    return [_checked_row(row, draft, check, rules) for row in kept], following


def first_rows(*, draft: Operation, check: Operation | None, by: Actor) -> list[SheetRow]:
    """The beginning of the file, with what the check or the row itself says about each row."""
    rules = rules_of(draft, by)
    read = list(islice(_read_file(draft), FIRST_ROWS))
    reported = {}
    if check is not None and read:
        numbers = [row.number for row in read]
        reported = {row.row: row for row in check.rows.filter(outcome=RowOutcome.FAILED, row__in=numbers)}
    return [
        _checked_row(reported[row.number], draft, check, rules) if check and row.number in reported else _own_row(row, draft, rules)
        for row in read
    ]


def find_row(*, draft: Operation, number: int, by: Actor) -> SheetRow:
    """A row that the check reported, or one of the first. Raises NotFound for any other."""
    rules, check = rules_of(draft, by), latest_check(draft)
    reported = check.rows.filter(outcome=RowOutcome.FAILED, row=number).first() if check and number < 2**63 else None
    if reported is not None and check is not None:
        return _checked_row(reported, draft, check, rules)
    for row in islice(_read_file(draft), FIRST_ROWS):
        if row.number == number:
            return _own_row(row, draft, rules)
    raise NotFound("No such row.")


def _read_file(draft: Operation) -> Iterator[SheetRow]:
    """The rows of the file as it is, those that cannot be read among them."""
    layout = Layout(**draft.params["layout"])
    with draft.file.open("rb") as file:
        rows = TableRows.of(file, layout)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except BadRow as error:
                yield SheetRow(number=rows.number, values={}, problem=str(error), mendable=False)
                continue
            values = {header: cell.strip() for header, cell in zip(layout.headers, row.cells, strict=False)}
            too_wide = len(row.cells) > len(layout.headers)
            problem = f"The row has {len(row.cells)} cells under {len(layout.headers)} headers." if too_wide else ""
            yield SheetRow(number=row.number, values=values, problem=problem, mendable=not too_wide)


def _own_row(row: SheetRow, draft: Operation, rules: Rules) -> SheetRow:
    edit = draft.params["edits"].get(str(row.number), {})
    if not row.mendable:
        return SheetRow(number=row.number, values=row.values, problem=row.problem, mendable=False, dropped=edit is None)
    return _judged(row.number, {**row.values, **(edit or {})}, frozenset(edit or {}), draft, rules, dropped=edit is None)


def _checked_row(row: OperationRow, draft: Operation, check: Operation, rules: Rules) -> SheetRow:
    """As the check reported it; once it was mended since, as it is in itself."""
    now, then = draft.params["edits"].get(str(row.row), {}), check.params["edits"].get(str(row.row), {})
    values = {**row.values, **(now or {})}
    if now is not None and now != then:
        return _judged(row.row, values, frozenset(now), draft, rules)
    return SheetRow(
        number=row.row,
        values=values,
        problem=row.message,
        wrong=_header_of(row.field, draft),
        mendable=bool(row.field),
        mended=frozenset(now or {}),
        dropped=now is None,
    )


def _judged(
    number: int, values: dict[str, str], mended: frozenset[str], draft: Operation, rules: Rules, *, dropped: bool = False
) -> SheetRow:
    found = row_problem(number, values, rules)
    return SheetRow(
        number=number,
        values=values,
        problem=found.message if found else "",
        wrong=_header_of(found.field, draft) if found else "",
        mended=mended,
        dropped=dropped,
    )


def _header_of(field: str, draft: Operation) -> str:
    """The column a problem is about: the field's own, or the one it was read out of."""
    wanted = {"first_name": (field, "name"), "last_name": (field, "name")}.get(field, (field,))
    return next((header for header, name in draft.params["mapping"].items() if name in wanted), "")


# --- mending ---


def mend_row(*, draft: Operation, number: int, cells: Mapping[str, str], by: Actor) -> SheetRow:
    """Write other values into cells of a row, by header. The file stays as it is; the import reads them over it.

    Raises NotFound for a row that was not shown, InvalidInput for too many mended rows.
    """
    row = find_row(draft=draft, number=number, by=by)
    if not row.mendable:
        raise InvalidInput({"row": ["This row cannot be told apart into cells. Mend the file, or leave the row out."]})
    headers = set(draft.params["layout"]["headers"])
    changed = {header: text for header, text in cells.items() if header in headers and text != row.values.get(header, "")}
    edit = draft.params["edits"].get(str(number)) or {}
    _save_edits(draft, {**draft.params["edits"], str(number): {**edit, **changed}} if changed else draft.params["edits"], by)
    return find_row(draft=draft, number=number, by=by)


def leave_row_out(*, draft: Operation, number: int, by: Actor) -> SheetRow:
    """Pass a row over in the import."""
    find_row(draft=draft, number=number, by=by)
    _save_edits(draft, {**draft.params["edits"], str(number): None}, by)
    return find_row(draft=draft, number=number, by=by)


def take_row_in(*, draft: Operation, number: int, by: Actor) -> SheetRow:
    """Import a row that was left out after all, as the check saw it."""
    find_row(draft=draft, number=number, by=by)
    check = latest_check(draft)
    edits = {key: edit for key, edit in draft.params["edits"].items() if key != str(number)}
    if check is not None and check.params["edits"].get(str(number)):
        edits[str(number)] = check.params["edits"][str(number)]
    _save_edits(draft, edits, by)
    return find_row(draft=draft, number=number, by=by)


def _save_edits(draft: Operation, edits: Mapping[str, dict[str, str] | None], by: Actor) -> None:
    if sum(len(text) for edit in edits.values() if edit for text in edit.values()) > MOST_MENDED_TEXT:
        raise InvalidInput({"edits": ["Too much text was mended here; mend the file instead."]})
    configure_import(operation=draft, edits=edits, by=by)
