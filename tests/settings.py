"""The product's settings, on this test process's own databases."""

import os
from urllib.parse import urlsplit

import environ

from tests.plugins.slots import VAR, claim_slot

if "DATABASE_ADMIN_URL" not in os.environ:
    raise SystemExit("The tests need their servers: run `make test`, or `python -m crm.embedded test -- <pytest arguments>`.")

TEST_SLOT = claim_slot()
# In the environment, so that what a test starts as a process of its own lands in the same place.
os.environ["DATABASE_URL"] = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/salesmagnet_test_{TEST_SLOT}").geturl()
os.environ["REDIS_URL"] = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{TEST_SLOT}").geturl()
os.environ["DEMO"] = "1"
# A developer's .env may name real servers and hold real keys. The tests have no use for either.
environ.Env.read_env = lambda *_, **__: None

from crm.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MEDIA_ROOT = str(VAR / f"media-{TEST_SLOT}")
MAIL_DIR = EMAIL_FILE_PATH = str(VAR / f"mail-{TEST_SLOT}")
WHITENOISE_AUTOREFRESH = True
LOGGING_CONFIG = None
