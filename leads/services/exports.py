"""Export leads: streamed to whoever asks, or as an operation whose file is fetched by a signed link.

Both walk the same list by keyset, some thousand rows at a time, and see what the actor sees. A stream reads each piece in a
transaction of its own, so that a slow reader holds none open; leads that change meanwhile come as they are when their piece is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from tempfile import TemporaryFile
from typing import IO, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import signing
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from audit.models import AuditEvent
from audit.services.acts import record_act
from crm.actors import Actor, Door
from crm.errors import DomainError, InvalidInput, NotFound
from crm.exporting import Csv, Download, Format, Json, Row, Spool, dumped, streamed, write_workbook
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.listing import AmongIds
from crm.operations.enums import State
from crm.operations.models import Operation
from crm.operations.runner import Chunk
from crm.operations.selectors import operations_visible_to
from crm.operations.services import start_operation
from crm.tenancy.models import Tenant, current_tenant
from crm.tenancy.scope import current_scope, tenant_scope
from leads.filters import SORTS, LeadList
from leads.permissions import EXPORT
from leads.services.export_fields import RowReader, checked_fields, columns_of, headings_of

KIND = "leads.export"
FORMATS = ("csv", "json", "xlsx")
CHUNK_ROWS = 5000
# Beyond so many rows an export runs as an operation; a workbook, which cannot be streamed, beyond fewer.
MOST_STREAMED, MOST_STREAMED_XLSX = 100_000, 5_000
MOST_IDS = 10_000
MOST_RECORDS = 10_000_000
# A finished file and its link live so long (decision C50).
KEPT = timedelta(hours=24)
_SALT = "leads.export"


class ExportExpired(DomainError):
    """The link's time is over, or its maker may no longer export."""

    code = "EXPORT_EXPIRED"
    status = 410


@dataclass(frozen=True, kw_only=True)
class LeadExport:
    """What is to be exported. `filters` are the list's, as text; `labels` gives the columns headings for people."""

    format: str = "csv"
    fields: tuple[str, ...] = ()
    filters: Mapping[str, str]
    ids: tuple[int, ...] = ()
    sort: str = "created_at"
    descending: bool = True
    with_deleted: bool = False
    activities: bool = False
    most: int | None = None
    labels: bool = False

    def stored(self) -> dict[str, Any]:
        return {**self.__dict__, "fields": list(self.fields), "ids": list(self.ids), "filters": dict(self.filters)}

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "LeadExport":
        known = {name: params[name] for name in cls.__dataclass_fields__ if name in params}
        return cls(**{**known, "fields": tuple(known["fields"]), "ids": tuple(known["ids"])})

    def leads(self, actor: Actor) -> LeadList:
        """The list that is exported. Raises InvalidInput for filters that cannot be read."""
        leads = LeadList(params=self.filters, actor=actor, sort=self.sort, descending=self.descending, with_deleted=self.with_deleted)
        if self.ids:
            narrowed = [branch.filter(AmongIds(list(self.ids))) for branch in leads.listing.branches]
            leads.listing = replace(leads.listing, branches=narrowed)
        return leads

    def number(self, actor: Actor) -> int:
        """How many leads it will hold."""
        leads = self.leads(actor)
        number = leads.listing.count() if self.ids else leads.total()
        return number if self.most is None else min(number, self.most)

    def reader(self, actor: Actor) -> RowReader:
        return RowReader(names=self.fields, activities=self.activities, actor=actor)

    @property
    def columns(self) -> list[str]:
        return columns_of(self.fields, activities=self.activities)

    @property
    def headings(self) -> list[str]:
        return headings_of(self.fields, activities=self.activities) if self.labels else self.columns

    @property
    def file_name(self) -> str:
        return f"leads-{timezone.localdate():%Y-%m-%d}.{self.format}"


def checked_export(*, export: LeadExport, by: Actor) -> LeadExport:
    """The same with its fields under their own names. Raises InvalidInput by parameter, Forbidden."""
    by.require(EXPORT)
    problems = {}
    if export.format not in FORMATS:
        problems["format"] = [f"Must be one of {', '.join(FORMATS)}."]
    if export.sort not in SORTS:
        problems["sort_by"] = [f"Must be one of {', '.join(SORTS)}."]
    if len(export.ids) > MOST_IDS:
        problems["ids"] = [f"At most {MOST_IDS:,} leads can be named one by one; use a filter."]
    if problems:
        raise InvalidInput(problems)
    export = replace(export, fields=checked_fields(export.fields, actor=by))
    export.leads(by)
    return export


def is_large(*, export: LeadExport, by: Actor) -> bool:
    """Whether it is too much for one answer."""
    most = MOST_STREAMED_XLSX if export.format == "xlsx" else MOST_STREAMED
    return (export.most is None or export.most > most) and export.number(by) > most


def _format(export: LeadExport, *, request_id: str) -> Format:
    if export.format == "csv":
        return Csv(headings=export.headings, marked=export.labels)
    if export.format == "xlsx":
        return Spool(columns=len(export.columns), zone=ZoneInfo(current_tenant().time_zone))
    facts = {
        "exported_at": timezone.now(),
        "format": "json",
        "fields": export.columns,
        "filters_applied": dict(export.filters),
        "sort_by": export.sort,
        "sort_order": "desc" if export.descending else "asc",
        "include_deleted": export.with_deleted,
        "include_activities": export.activities,
        "max_records": export.most,
    }
    envelope = dumped({"timestamp": facts["exported_at"], "version": "1.0", "requestId": request_id})

    def after(number: int) -> bytes:
        return b',"export_metadata":' + dumped({**facts, "total_records": number}) + b'},"meta":' + envelope + b"}"

    return Json(names=export.columns, before=b'{"success":true,"data":{"leads":', after=after)


# --- streamed ---


def stream_export(*, export: LeadExport, by: Actor) -> Download:
    """Begin a checked export. The audit log tells of it now, and of its rows when the last was read."""
    by.require(EXPORT)
    act = record_act(action="leads_exported", subject=export.file_name, details=_told(export), by=by)
    writer = _format(export, request_id=current_scope().request_id)
    pieces = _Stream(export, act.pk, by)
    if isinstance(writer, Spool):
        return _workbook(export, pieces, writer)
    return Download(name=export.file_name, content_type=writer.content_type, content=streamed(writer, pieces.chunks()))


def _workbook(export: LeadExport, pieces: "_Stream", writer: Spool) -> Download:
    """A small workbook, made at once."""
    number = 0
    with TemporaryFile() as spool:
        for rows in pieces.chunks():
            spool.write(writer.rows(rows, start=number))
            number += len(rows)
        spool.seek(0)
        book = TemporaryFile()  # noqa: SIM115 -- closed by whoever sends it
        write_workbook(spool, book, headings=export.headings, number=number)
    size = book.seek(0, 2)
    book.seek(0)
    return Download(name=export.file_name, content_type=writer.content_type, content=_read(book), size=size)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(65_536):
            yield piece


def _told(export: LeadExport) -> dict[str, Any]:
    """What the audit log keeps of an export."""
    filters: dict[str, Any] = dict(export.filters)
    if export.ids:
        filters["ids"] = len(export.ids)
    return {
        "format": export.format,
        "filters": filters,
        "fields": export.columns,
        "include_deleted": export.with_deleted,
        "max_records": export.most,
    }


class _Stream:
    """The rows of an export, each piece read in a scope of its own."""

    def __init__(self, export: LeadExport, act_id: int, by: Actor) -> None:
        self.export, self.act_id, self.by = export, act_id, by
        self.tenant_id, self.request_id = by.tenant_id, current_scope().request_id

    def chunks(self) -> Iterator[list[Row]]:
        cursor: str | None = ""
        number = 0
        while cursor is not None:
            with tenant_scope(self.tenant_id, by=self.by, request_id=self.request_id):
                rows, cursor = _next_rows(self.export, cursor, number, self.by)
                number += len(rows)
                if cursor is None:
                    self._told(number)
            if rows:
                yield rows

    def _told(self, number: int) -> None:
        AuditEvent.objects.filter(pk=self.act_id).update(details={**_told(self.export), "rows": number})


def _next_rows(export: LeadExport, cursor: str, done: int, actor: Actor) -> tuple[list[Row], str | None]:
    """The next rows, and where those after them begin; None at the end."""
    limit = CHUNK_ROWS if export.most is None else min(CHUNK_ROWS, export.most - done)
    if limit <= 0:
        return [], None
    page = export.leads(actor).listing.page(limit=limit, cursor=cursor or None)
    rows: list[Row] = list(export.reader(actor).read(page.ids))
    whole = export.most is not None and done + len(page.ids) >= export.most
    return rows, None if whole else page.next_cursor


# --- as an operation ---


def start_export(*, export: LeadExport, by: Actor) -> Operation:
    """Let a worker write the file of a checked export."""
    by.require(EXPORT)
    operation = start_operation(kind=KIND, title=f"Export of leads as {export.format.upper()}", params=export.stored(), by=by)
    record_act(action="leads_exported", subject=export.file_name, details={**_told(export), "operation": operation.pk}, by=by)
    return operation


def export_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Append the next rows to the file under way. A killed worker's file goes on at the byte that was last committed."""
    actor.require(EXPORT)
    export = LeadExport.read(operation.params)
    writer = _format(export, request_id=f"operation-{operation.pk}")
    position = {"cursor": "", "bytes": 0, "rows": 0, **operation.cursor}
    part = _part_name(operation)
    if position["bytes"] and not default_storage.exists(part):
        # Written on a disk that is gone: begin anew.
        position, operation.done, operation.created = {"cursor": "", "bytes": 0, "rows": 0}, 0, 0
    if position["cursor"] is None:
        return _finish(operation, export, position["rows"])
    rows, following = _next_rows(export, position["cursor"], position["rows"], actor)
    data = b"" if position["bytes"] else writer.opening()
    data += writer.rows(rows, start=position["rows"])
    if following is None:
        data += writer.closing(position["rows"] + len(rows))
    size = _append(part, data, at=position["bytes"])
    return Chunk(
        cursor={"cursor": following, "bytes": size, "rows": position["rows"] + len(rows)},
        total=export.number(actor) if operation.total is None else None,
        created=len(rows),
        result={"format": export.format},
    )


def _part_name(operation: Operation) -> str:
    return f"tenant-{operation.tenant_id}/operations/exports/{operation.pk}.part"


def _append(name: str, data: bytes, *, at: int) -> int:
    """Write after the byte `at`, whatever an interrupted try left there. Answers where it ends."""
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(b""))
    with default_storage.open(name, "r+b") as file:
        file.seek(at)
        file.truncate()
        file.write(data)
        file.flush()
    return at + len(data)


def _finish(operation: Operation, export: LeadExport, number: int) -> Chunk:
    """Give the operation its file and the link to it. A workbook is written now, from the rows that were spooled."""
    part = _part_name(operation)
    with default_storage.open(part, "rb") as written:
        if export.format == "xlsx":
            _store_workbook(operation, export, written, number)
        else:
            operation.file.save(export.file_name, File(written), save=False)
    transaction.on_commit(lambda: default_storage.delete(part))
    until = timezone.now() + KEPT
    return Chunk(
        cursor={},
        finished=True,
        result={
            "rows": number,
            "bytes": operation.file.size,
            "file_name": export.file_name,
            "download_url": link_to(operation),
            "expires_at": until.isoformat(timespec="seconds"),
        },
    )


def _store_workbook(operation: Operation, export: LeadExport, spool: IO[bytes], number: int) -> None:
    with TemporaryFile() as book:
        write_workbook(spool, book, headings=export.headings, number=number)
        book.seek(0)
        operation.file.save(export.file_name, File(book), save=False)


# --- the finished file ---


def link_to(operation: Operation) -> str:
    """An address that fetches the file without a sign-in, for KEPT from now."""
    token = signing.dumps([operation.tenant_id, operation.pk], salt=_SALT)
    return f"{settings.SITE_URL}/api/leads/export/download/{token}"


def open_by_link(*, token: str) -> Download:
    """The file of a link. Raises NotFound, or ExportExpired also where its maker has left or may no longer export."""
    try:
        tenant_id, pk = signing.loads(token, salt=_SALT, max_age=KEPT)
    except signing.SignatureExpired:
        raise ExportExpired("This link has expired. Export again.") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound("No such export.") from None
    with tenant_scope(tenant_id):
        operation = Operation.objects.filter(pk=pk, kind=KIND).first()
        user = User.objects.filter(pk=operation.created_by_id, is_active=True).first() if operation is not None else None
        if operation is None or user is None or not actor_for(user, door=Door.API).can(EXPORT):
            raise ExportExpired("Whoever made this export may no longer do so.")
        by = Actor(tenant_id=tenant_id, user_id=user.pk, label=f"{user.full_name} (link)", door=Door.API)
        return _opened(operation, by)


def open_export(*, operation_id: int, by: Actor) -> Download:
    """The file of an operation that the actor may see. Raises NotFound, ExportExpired, Forbidden."""
    by.require(EXPORT)
    operation = operations_visible_to(by).filter(pk=operation_id, kind=KIND).first()
    if operation is None:
        raise NotFound("No such export.")
    return _opened(operation, by)


def _opened(operation: Operation, by: Actor) -> Download:
    if not is_ready(operation):
        raise ExportExpired("This file is no longer kept. Export again.")
    record_act(action="export_downloaded", subject=operation.title, details={"operation": operation.pk}, by=by)
    file = operation.file.open("rb")
    formats: dict[str, type[Csv | Json | Spool]] = {"csv": Csv, "json": Json, "xlsx": Spool}
    content_type = str(formats[operation.params["format"]].content_type)
    return Download(name=operation.result["file_name"], content_type=content_type, content=_read(file), size=operation.file.size)


def is_ready(operation: Operation) -> bool:
    """Whether there is a file to be fetched."""
    within = operation.finished_at is not None and operation.finished_at > timezone.now() - KEPT
    return operation.state == State.DONE and within and bool(operation.file) and operation.file.storage.exists(str(operation.file.name))


def delete_expired_exports() -> int:
    """Delete the files whose link is over, and what stopped exports left, in every tenant. Answers how many."""
    deleted = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            over = Operation.objects.filter(kind=KIND, finished_at__lt=timezone.now() - KEPT).exclude(params__has_key="gone")
            deleted += sum(_delete_file(operation) for operation in over)
    return deleted


def _delete_file(operation: Operation) -> bool:
    names = [name for name in (operation.file.name, _part_name(operation)) if name and default_storage.exists(name)]
    for name in names:
        default_storage.delete(name)
    operation.file = ""
    operation.params = {**operation.params, "gone": True}
    result = {key: value for key, value in operation.result.items() if key != "download_url"}
    Operation.objects.filter(pk=operation.pk).update(file="", params=operation.params, result=result)
    return bool(names)
