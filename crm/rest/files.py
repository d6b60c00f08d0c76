"""Files that are sent to be kept."""

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from crm.exporting import Download


def file_response(download: Download) -> StreamingHttpResponse:
    """A file that is saved, never shown: what it holds came from outside."""
    response = StreamingHttpResponse(download.content, content_type=download.content_type)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=download.name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    if download.size is not None:
        response["Content-Length"] = str(download.size)
    return response
