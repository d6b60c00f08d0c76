"""The product's settings with limits off and the floor's routes beside its own."""

from crm.settings import *  # noqa: F403
from crm.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "bench.floor"]
ROOT_URLCONF = "bench.floor.urls"
RATE_LIMITS_ON = False
LOG_LEVEL = "WARNING"
