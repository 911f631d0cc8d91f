"""Django settings, computed from the environment only (see `environment.py`); no module per environment."""

import contextlib
import os
import secrets
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.templatetags.static import static

from exchange.environment import Environment

ENVIRONMENT = Environment.read(os.environ)
BASE_DIR = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

if ENVIRONMENT.metrics_port:  # read by prometheus_client when it is imported, which is later
    ENVIRONMENT.metrics.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(ENVIRONMENT.metrics)


def _secret_key(environment: Environment) -> str:
    """The configured key, or in an embedded hub one that is made on the first start and kept."""
    if environment.secret_key:
        return environment.secret_key
    path = environment.keys / "django-secret-key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # of several starting processes the first one wins
        temporary.unlink()
    return path.read_text(encoding="utf-8")


def _database(environment: Environment) -> dict[str, Any]:
    if not environment.database_url:
        environment.data_dir.mkdir(parents=True, exist_ok=True)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "TEST": {"NAME": environment.data_dir / "test.sqlite3"},
            "NAME": environment.data_dir / "hub.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                # FULL: a receipt must not be given for a commit that a power cut can undo.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000",
            },
        }
    url = urlsplit(environment.database_url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": url.port or "",
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        # Compiling a statement takes a second where its cost is overrated, and running it milliseconds.
        "OPTIONS": {"options": "-c jit=off"},
    }


SECRET_KEY = _secret_key(ENVIRONMENT)
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = [
    urlsplit(ENVIRONMENT.base_url).hostname or "localhost",
    "127.0.0.1",
    "localhost",
    *ENVIRONMENT.allowed_hosts,
]
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.base_url]
ROOT_URLCONF = "exchange.urls"
WSGI_APPLICATION = "exchange.wsgi.application"
DATABASES = {"default": _database(ENVIRONMENT)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "exchange.apps.PagesConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "agencies",
    "oauth2_provider",
    "exchange",
]

MIDDLEWARE = [
    "exchange.edge.ProxyMiddleware",
    "exchange.edge.PolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "exchange.api.request_id.RequestIdMiddleware",
    "exchange.api.watch.WatchMiddleware",
    "exchange.api.standstill.StandstillMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "exchange.admin.language.LanguageMiddleware",
    "exchange.api.nul.NulMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "exchange" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "static/"
# The files of the installed packages are served from where they lie: no collecting step, no outside host.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# The mail server of the installation; without one, e-mail goes nowhere.
_MAIL = urlsplit(ENVIRONMENT.email_url)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if ENVIRONMENT.email_url else 'dummy'}.EmailBackend"
EMAIL_HOST = _MAIL.hostname or "localhost"
EMAIL_PORT = _MAIL.port or {"smtps": 465, "smtp+tls": 587}.get(_MAIL.scheme, 25)
EMAIL_HOST_USER = unquote(_MAIL.username or "")
EMAIL_HOST_PASSWORD = unquote(_MAIL.password or "")
EMAIL_USE_SSL = _MAIL.scheme == "smtps"
EMAIL_USE_TLS = _MAIL.scheme == "smtp+tls"
EMAIL_TIMEOUT = 10
EMAIL_SUBJECT_PREFIX = ""
DEFAULT_FROM_EMAIL = (
    ENVIRONMENT.email_from or f"truc@{urlsplit(ENVIRONMENT.base_url).hostname or 'localhost'}"
)

LANGUAGE_CODE = "vi"
LANGUAGES = [("vi", "Tiếng Việt"), ("en", "English")]
TIME_ZONE = "Asia/Ho_Chi_Minh"
USE_TZ = True
FORMAT_MODULE_PATH = "exchange.formats"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "agencies.hashers.CredentialHasher",
]
OTP_TOTP_ISSUER = ENVIRONMENT.name
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SECURE = ENVIRONMENT.base_url.startswith("https://")
# A session ends with the browser, at the latest after a working day.
SESSION_COOKIE_AGE = 10 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked for by the machine itself
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
# What other hosts of the domain do is not this hub's to promise: no includeSubDomains, no preload.
# Indexes that hold more than their key (W040) are PostgreSQL's; SQLite makes them of the key alone.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021", "models.W040"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

OAUTH2_PROVIDER_APPLICATION_MODEL = "agencies.Credential"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "send": "Send packages",
        "receive": "Receive packages and answer them",
        "directory": "Read the directory of agencies",
        "audit": "Read the log",
    },
    "DEFAULT_SCOPES": ["send", "receive", "directory"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": ENVIRONMENT.token_seconds,
    # Knows no other grant, so asks for no user's password.
    "OAUTH2_SERVER_CLASS": "oauthlib.oauth2.BackendApplicationServer",
    "OAUTH2_VALIDATOR_CLASS": "exchange.api.oauth.CredentialValidator",
    "CLIENT_SECRET_HASHER": "credential_hmac_sha256",
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,  # a stolen database gives no tokens away
    # The grants and pages that these harden are not offered at all; so the library need not warn of them.
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["exchange.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["exchange.api.authentication.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "exchange.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Document exchange hub",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
}

# The blue of the pages, on a scale from light to dark.
_PRIMARY = {
    "50": "oklch(97% .016 250)",
    "100": "oklch(93.5% .032 250)",
    "200": "oklch(88% .06 250)",
    "300": "oklch(80% .1 250)",
    "400": "oklch(71% .14 250)",
    "500": "oklch(61% .17 252)",
    "600": "oklch(51% .17 254)",
    "700": "oklch(44% .15 255)",
    "800": "oklch(38% .12 255)",
    "900": "oklch(33% .09 255)",
    "950": "oklch(25% .06 255)",
}

UNFOLD = {
    "SITE_TITLE": ENVIRONMENT.name,
    "SITE_HEADER": ENVIRONMENT.name,
    "SITE_SUBHEADER": f"v{VERSION}",
    "SITE_SYMBOL": "swap_horiz",
    "SHOW_LANGUAGES": True,
    "ACCOUNT": {"navigation": "exchange.admin.navigation.account"},
    "DASHBOARD_CALLBACK": "exchange.admin.overview.context",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("hub/icon.svg")}
    ],
    "STYLES": [lambda request: static("hub/hub.css")],
    "SCRIPTS": [lambda request: static("hub/hub.js")],
    "COLORS": {"primary": _PRIMARY},
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": False, "navigation": "exchange.admin.navigation.sidebar"},
}

_SECURITY_HANDLERS: dict[str, dict[str, object]] = {}
if ENVIRONMENT.security_log:
    _SECURITY_HANDLERS["security_file"] = {
        # Opened anew when logrotate has moved it.
        "class": "logging.handlers.WatchedFileHandler",
        "filename": ENVIRONMENT.security_log,
        "delay": True,
        "formatter": "json",
    }
if ENVIRONMENT.security_syslog:
    _SECURITY_HANDLERS["security_syslog"] = {
        "()": "exchange.logs.Syslog",
        "target": ENVIRONMENT.security_syslog,
        "formatter": "syslog",
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {"()": "exchange.logs.formatter", "as_json": ENVIRONMENT.log_json},
        "json": {"()": "exchange.logs.formatter", "as_json": True},
        "syslog": {"()": "exchange.logs.Rfc5424", "hub": ENVIRONMENT.code},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "lines"},
        **_SECURITY_HANDLERS,
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "hub.security": {"handlers": list(_SECURITY_HANDLERS), "level": "INFO"},
        "django.request": {"level": "ERROR"},
        "celery.redirected": {"level": "WARNING"},
        # A line for each request is for a log store; a person at a terminal reads what went wrong.
        "exchange.api.watch": {"level": "INFO" if ENVIRONMENT.log_json else "WARNING"},
        # It warns of tasks with an ETA, which the hub does not use.
        "kombu.transport.native_delayed_delivery": {"level": "ERROR"},
    },
}
