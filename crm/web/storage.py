"""Serve static files under hashed names: one stylesheet from its layers, and our own ES modules with their imports."""

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage

# Our modules import by statements of their own line only. Django's general switch would also rewrite vendors' files, htmx's comments among them.
_OWN_MODULES = (
    "js/*.js",
    (
        (r"""(?P<matched>import (?P<names>\{[^}]*\}) from "(?P<url>\./[^"]+)";)""", """import %(names)s from "%(url)s";"""),
        (r"""(?P<matched>import "(?P<url>\./[^"]+)";)""", """import "%(url)s";"""),
    ),
)
_LAYERED_IMPORT = re.compile(r'@import url\("(?P<path>[^"]+)"\) layer\((?P<layer>[\w-]+)\);')
_RELATIVE_URL = re.compile(r'url\("(?P<path>[^":]+)"\)')
_ENTRY_SHEETS = ("css/app.css", "css/admin.css")


class StaticStorage(CompressedManifestStaticFilesStorage):
    """`STORAGES["staticfiles"]`. In development the browser follows the imports itself; collected, a page asks for one sheet."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, _OWN_MODULES)

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[tuple[str, str, Any]]:
        joined = InMemoryStorage()
        for name in _ENTRY_SHEETS:
            if name in paths:
                joined.save(name, ContentFile(_with_imports(name, paths).encode()))
                paths[name] = (joined, name)
        yield from super().post_process(paths, dry_run, **options)


def _with_imports(name: str, paths: dict[str, Any]) -> str:
    """Put each layered import's text where it is named, its relative addresses seen from the importing sheet."""
    here = posixpath.dirname(name)

    def read(path: str) -> str:
        storage, inner = paths[path]
        with storage.open(inner) as file:
            return file.read().decode()

    def put(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match["path"]))
        folder = posixpath.dirname(path)
        text = _RELATIVE_URL.sub(lambda url: f'url("{posixpath.relpath(posixpath.join(folder, url["path"]), here)}")', read(path))
        return f"@layer {match['layer']} {{\n{text}\n}}"

    return _LAYERED_IMPORT.sub(put, read(name))
