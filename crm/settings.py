"""All settings, read from the environment. `.env.example` explains each name."""

from pathlib import Path

import environ
from celery.schedules import crontab, schedule
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
if (BASE_DIR / ".env").exists():
    env.read_env(str(BASE_DIR / ".env"))

# --- Mode and secrets -------------------------------------------------------------------------------------------------
DEMO = env.bool("DEMO", default=False)
DEBUG = env.bool("DEBUG", default=False)
_DEMO_SECRET = "salesmagnet-demo-only-secret-that-production-refuses"  # noqa: S105 -- refused below outside the demo
SECRET_KEY = env.str("SECRET_KEY", default=_DEMO_SECRET)
JWT_SECRET = env.str("JWT_SECRET", default=SECRET_KEY)
JWT_EXPIRES_IN = env.str("JWT_EXPIRES_IN", default="72h")
JWT_REFRESH_DAYS = env.int("JWT_REFRESH_DAYS", default=30)
if not (DEMO or DEBUG) and (SECRET_KEY == _DEMO_SECRET or len(SECRET_KEY) < 32 or len(JWT_SECRET) < 32):
    raise ImproperlyConfigured("SECRET_KEY and JWT_SECRET must be set, each at least 32 characters, outside DEMO=1.")

PORT = env.int("PORT", default=3000)
SITE_URL = env.str("SITE_URL", default=f"http://localhost:{PORT}").rstrip("/")
EVENTS_URL = env.str("EVENTS_URL", default=f"http://localhost:{PORT + 1}" if DEMO else "").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if DEMO else ["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)

# --- Apps -------------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "crm.web",
    "crm.rest",
    "crm.tenancy",
    "crm.events",
    "crm.identity",
    "crm.operations",
    "crm.savedviews",
    "audit",
    "notifications",
    "customobjects",
    "leads",
    "enrichment",
    "duplicates",
    "pipeline",
    "activities",
    "assignments",
    "dialer",
    "scoring",
    "webhooks",
    "demo",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django_cotton.apps.SimpleAppConfig",
    "template_partials.apps.SimpleAppConfig",
    "django_htmx",
    "pgtrigger",
    "pghistory",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "import_export",
    "django_prometheus",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "crm.rest.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "crm.identity.middleware.SignInMiddleware",
    "crm.identity.middleware.LocaleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "crm.identity.middleware.AdminScopeMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# django-cotton must sit innermost, the partial loader outermost: each app's own auto-configuration would undo the other's.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django_cotton.cotton_loader.Loader",
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "django_cotton.templatetags.cotton",
                "template_partials.templatetags.partials",
                "django.templatetags.i18n",
                "django.templatetags.static",
                "crm.web.templatetags.ui",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "crm.web.context.shell",
            ],
        },
    }
]
FORM_RENDERER = "crm.web.forms.Renderer"

# --- Database ---------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://salesmagnet@127.0.0.1/salesmagnet")}
DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
if env.bool("DATABASE_POOL", default=False):
    # Only web processes pool: Celery closes the pool at every task. While the database is away the pool tries again ever more
    # seldom, up to a minute apart; giving up early, it tries anew with the next request and is back when the database is.
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 2, "max_size": env.int("DATABASE_POOL_SIZE", default=16), "timeout": 3, "reconnect_timeout": 3},
        # A database that has become slow answers its senders that it is busy, rather than keep them and every thread waiting.
        "options": f"-c statement_timeout={env.int('DATABASE_STATEMENT_TIMEOUT', default=25_000)} -c lock_timeout=10000",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 300
PGHISTORY_ADMIN_ALL_EVENTS = False
PGHISTORY_ADMIN_CLASS = None
PGTRIGGER_MIGRATIONS = True

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    }
}

# --- Sign-in ----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["crm.identity.backends.RoleBackend"]
# The e-mail is unique whatever its case, by an index on its lower form, which this check does not know.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
# scrypt takes memory from whoever guesses, and less time from us than PBKDF2 at the same strength.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# --- Security headers -------------------------------------------------------------------------------------------------
_https = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SECURE_HSTS_SECONDS = 31536000 if _https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "crm.web.errors.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, EVENTS_URL] if EVENTS_URL else [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {name: [] for name in ("camera", "geolocation", "payment", "usb")}
# Only the website webhook and the event stream are called from other origins; each answers its own CORS headers.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(api|v1)/(?!webhooks/)"

# --- Language, time, files --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(VAR_DIR / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(VAR_DIR / "media"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "crm.web.storage.StaticStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
# What arrivals held is emptied after so many days, where a tenant has no number of its own; 0 keeps it.
ARRIVAL_RETENTION_DAYS = env.int("ARRIVAL_RETENTION_DAYS", default=365)
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=2 * 1024**3)

# --- E-mail -----------------------------------------------------------------------------------------------------------
MAIL_DIR = env.str("MAIL_DIR", default=str(VAR_DIR / "mail"))
if env.str("EMAIL_URL", default=""):
    vars().update(env.email_url("EMAIL_URL"))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_DIR
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="SalesMagnet <crm@localhost>")

# --- API --------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "crm.identity.authentication.BearerAuthentication",
        "crm.identity.authentication.CookieTokenAuthentication",
        "crm.identity.authentication.BrowserSessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": ["crm.rest.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.rest.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "crm.rest.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SalesMagnet CRM API",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/api", "description": "The CRM API"}, {"url": "/v1", "description": "The same API, document 4's base path"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api",
    "SCHEMA_PATH_PREFIX_TRIM": True,
    "PREPROCESSING_HOOKS": ["crm.rest.openapi.only_crm_surface"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "OperationState": "crm.operations.enums.State",
        "ScanState": "duplicates.enums.ScanState",
        "FieldKind": "customobjects.enums.FieldKind",
        "SourceKind": "webhooks.enums.SourceKind",
        "ActivityType": "activities.enums.ActivityType",
        "ActivityStatus": "activities.enums.ActivityStatus",
        "ActivityPriority": [("low", "Low"), ("medium", "Medium"), ("high", "High"), ("urgent", "Urgent")],
        "LeadPriority": [(word, word) for word in ("Low", "Medium", "High", "Critical")],
        "SlaKind": "pipeline.enums.SlaKind",
        "SlaState": "pipeline.enums.SlaState",
    },
}
RATE_LIMITS_ON = env.str("RATE_LIMITS", default="on").lower() != "off"
# Requests a minute by kind and a year-round ceiling an hour by the caller's class (decision C42).
RATE_LIMITS_PER_MINUTE = {"standard": 100, "bulk": 10, "export": 5, "analytics": 20, "sign_in": 20, "webhook": 300}
RATE_LIMITS_PER_HOUR = {"standard": 1000, "premium": 5000, "api": 10000, "bulk": 100}

# --- Background work --------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A broker that is away must not hold up a request: the outbox keeps the work and beat sweeps it.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600, "socket_connect_timeout": 1, "socket_timeout": 5}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ROUTES = {
    "events.*": {"queue": "events"},
    "operations.run": {"queue": "operations"},
    "operations.*": {"queue": "default"},
    "leads.*": {"queue": "default"},
    "enrichment.*": {"queue": "default"},
    "identity.*": {"queue": "default"},
    "webhooks.*": {"queue": "default"},
    "duplicates.*": {"queue": "default"},
    "assignments.*": {"queue": "default"},
    "dialer.*": {"queue": "default"},
    "activities.*": {"queue": "default"},
    "pipeline.*": {"queue": "default"},
    "notifications.*": {"queue": "default"},
}
CELERY_BEAT_SCHEDULE = {
    "sweep-outbox": {"task": "events.deliver_outbox", "schedule": schedule(run_every=5)},
    "sweep-operations": {"task": "operations.sweep", "schedule": schedule(run_every=10)},
    "process-due-arrivals": {"task": "webhooks.process_due", "schedule": schedule(run_every=10)},
    "reconcile-facebook": {"task": "webhooks.reconcile_facebook", "schedule": crontab(hour="2", minute="40")},
    "fetch-mailboxes": {"task": "webhooks.fetch_mailboxes", "schedule": schedule(run_every=60)},
    "clear-drafts": {"task": "operations.clear_drafts", "schedule": schedule(run_every=6 * 3600)},
    "forget-payloads": {"task": "webhooks.forget_payloads", "schedule": schedule(run_every=24 * 3600)},
    "flush-search": {"task": "leads.flush_search", "schedule": schedule(run_every=15)},
    "purge-lead-bin": {"task": "leads.purge_bin", "schedule": schedule(run_every=3600)},
    "enrich-due": {"task": "enrichment.enrich_due", "schedule": schedule(run_every=30)},
    "forget-enrichment-answers": {"task": "enrichment.forget_old_answers", "schedule": schedule(run_every=6 * 3600)},
    "delete-expired-exports": {"task": "leads.delete_expired_exports", "schedule": schedule(run_every=3600)},
    "retry-catch-all-queues": {"task": "assignments.retry_queues", "schedule": schedule(run_every=60)},
    "compact-lead-counts": {"task": "leads.compact_counts", "schedule": schedule(run_every=60)},
    "escalate-service-levels": {"task": "pipeline.escalate", "schedule": schedule(run_every=20)},
    "compact-stage-figures": {"task": "pipeline.compact_figures", "schedule": schedule(run_every=60)},
    "compact-activity-counts": {"task": "activities.compact_counts", "schedule": schedule(run_every=60)},
    "remind-due": {"task": "activities.remind_due", "schedule": crontab()},
    "mail-meeting-invitations": {"task": "activities.mail_invitations", "schedule": schedule(run_every=30)},
    "tell-overdue": {"task": "activities.tell_overdue", "schedule": schedule(run_every=300)},
    "scan-for-duplicates": {"task": "duplicates.scan_all", "schedule": crontab(hour="1", minute="20")},
    "resume-scans": {"task": "duplicates.resume_scans", "schedule": schedule(run_every=300)},
    "mail-notifications": {"task": "notifications.mail_due", "schedule": schedule(run_every=30)},
    "mail-digests": {"task": "notifications.mail_digests", "schedule": schedule(run_every=120)},
    "forget-old-notifications": {"task": "notifications.forget_old", "schedule": schedule(run_every=6 * 3600)},
    "run-calling-agents": {"task": "dialer.schedule", "schedule": schedule(run_every=60)},
    "run-due-calling-agents": {"task": "dialer.run_agents", "schedule": schedule(run_every=20)},
    "place-waiting-calls": {"task": "dialer.place_waiting", "schedule": schedule(run_every=10)},
    "return-call-leases": {"task": "dialer.return_leases", "schedule": schedule(run_every=20)},
    "simulate-calls": {"task": "dialer.simulate", "schedule": schedule(run_every=2)},
    "pause-silent-sessions": {"task": "dialer.pause_silent", "schedule": schedule(run_every=10)},
    "fetch-recordings": {"task": "dialer.fetch_recordings", "schedule": schedule(run_every=30)},
    "forget-old-recordings": {"task": "dialer.forget_recordings", "schedule": schedule(run_every=6 * 3600)},
    "compact-call-counts": {"task": "dialer.compact_counts", "schedule": schedule(run_every=60)},
    "clear-sign-in-leftovers": {"task": "identity.clear_leftovers", "schedule": schedule(run_every=3600)},
}

# --- Outside parties (document 1's names) -----------------------------------------------------------------------------
FB_APP_ID = env.str("FB_APP_ID", default="")
FB_APP_SECRET = env.str("FB_APP_SECRET", default="")
FB_VERIFY_TOKEN = env.str("FB_VERIFY_TOKEN", default="")
FB_PAGE_ACCESS_TOKEN = env.str("FB_PAGE_ACCESS_TOKEN", default="")
FB_PAGE_ACCESS_TOKEN_TENANTS = env.list("FB_PAGE_ACCESS_TOKEN_TENANTS", cast=int, default=[1])
FB_GRAPH_URL = env.str("FB_GRAPH_URL", default="https://graph.facebook.com").rstrip("/")
FB_GRAPH_VERSION = env.str("FB_GRAPH_VERSION", default="v23.0")
FB_GRAPH_TIMEOUT = env.float("FB_GRAPH_TIMEOUT", default=15)
# The telephone company's service, how long it may take to answer, and the address at which it reaches us.
TWILIO_API_URL = env.str("TWILIO_API_URL", default="https://api.twilio.com").rstrip("/")
TWILIO_TIMEOUT = env.float("TWILIO_TIMEOUT", default=15)
VOICE_PUBLIC_URL = env.str("VOICE_PUBLIC_URL", default=SITE_URL).rstrip("/")
# Whether mailboxes may be on hosts of this network: a tenant's admin could have it asked from inside otherwise.
ALLOW_PRIVATE_HOSTS = env.bool("ALLOW_PRIVATE_HOSTS", default=DEMO)

# --- Logs -------------------------------------------------------------------------------------------------------------
LOG_FORMAT = env.str("LOG_FORMAT", default="console" if DEMO or DEBUG else "json")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
try:
    from crm.observability.logging import logging_config

    LOGGING = logging_config(fmt=LOG_FORMAT, level=LOG_LEVEL)
except ImportError:
    LOGGING = {}
