"""Write a workbook's sheet to standard output as UTF-8 CSV. Run as a program of its own, so that its memory can be bounded.

Imports nothing of the product. Formulas come as the values they last had.
"""

import csv
import io
import resource
import sys
from datetime import date, datetime, time, timedelta
from typing import Any

REFUSED = 3
MOST_MEMORY = 2 * 1024**3
MOST_CPU_SECONDS = 110


def cell_text(value: Any) -> str:
    """A cell as the sheet would write it into a CSV file: whole numbers without a point, dates as ISO 8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 10**15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value) if value is not None else ""


def write_sheet(path: str, sheet: str, most_columns: int) -> str:
    """Write the named sheet, or the first. Answers why not, for users; empty when done."""
    from python_calamine import CalamineWorkbook

    workbook = CalamineWorkbook.from_path(path)
    if sheet and sheet not in workbook.sheet_names:
        names = ", ".join(workbook.sheet_names)
        return f"The workbook has no sheet named {sheet[:80]}. It has: {names[:300]}."
    if not workbook.sheet_names:
        return "The workbook has no sheet."
    rows = workbook.get_sheet_by_name(sheet or workbook.sheet_names[0])
    if rows.width > most_columns:
        return f"The sheet has {rows.width:,} columns; at most {most_columns} are read."
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="replace", newline="")
    writer = csv.writer(out)
    for row in rows.iter_rows():
        writer.writerow([cell_text(cell) for cell in row])
    out.flush()
    return ""


def main(path: str, sheet: str, most_columns: str) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    try:
        refusal = write_sheet(path, sheet, int(most_columns))
    except Exception as error:  # whatever the library makes of a damaged file
        refusal = f"The workbook cannot be read: {str(error)[:150]}. Save it anew as XLSX or CSV and try again."
    if refusal:
        sys.stderr.write(refusal)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
