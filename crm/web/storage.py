"""Serve static files under hashed names, including the imports between ES modules."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """`STORAGES["staticfiles"]`: without module rewriting, `import "./x.js"` would ask for a name that is not cached."""

    support_js_module_import_aggregation = True
