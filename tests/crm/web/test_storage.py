"""Collected, the design system is one stylesheet whose layers and addresses still hold."""

from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage

from crm.web.storage import _with_imports


def sheets(folder: Path) -> dict[str, tuple[StaticFilesStorage, str]]:
    storage = StaticFilesStorage(location=folder, base_url="/static/")
    return {str(path.relative_to(folder)): (storage, str(path.relative_to(folder))) for path in folder.rglob("*.css")}


def test_layered_imports_are_put_in_place(tmp_path):
    (tmp_path / "css/parts").mkdir(parents=True)
    (tmp_path / "css/app.css").write_text('@layer a, b;\n@import url("parts/x.css") layer(a);\n')
    (tmp_path / "css/parts/x.css").write_text('p { background: url("../../img/check.svg") }')
    assert _with_imports("css/app.css", sheets(tmp_path)) == '@layer a, b;\n@layer a {\np { background: url("../img/check.svg") }\n}\n'


def test_every_component_sheet_is_imported():
    folder = Path(settings.STATICFILES_DIRS[0])
    entry = (folder / "css/app.css").read_text()
    missing = [path.name for path in (folder / "css/components").glob("*.css") if f"components/{path.name}" not in entry]
    assert missing == []
    assert "@import" not in _with_imports("css/app.css", sheets(folder))
