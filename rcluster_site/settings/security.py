"""Secrets, cookies, headers, passwords."""

import os
from pathlib import Path

from csp.constants import NONCE, NONE, SELF

from rcluster_site.settings.core import ENV


def _secret_key() -> str:
    """The key in RCLUSTER_HOME/secret-key, made by the first set-up."""
    given = os.environ.get("RCLUSTER_SECRET_KEY", "")
    if given:
        return given
    path: Path = ENV.home / "secret-key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise SystemExit(f"{path} is missing: run ./rcluster up once, which makes it.") from None


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = ENV.names("RCLUSTER_HOSTS")

HTTPS = ENV.flag("RCLUSTER_HTTPS")
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = False
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS] if HTTPS else []
if HTTPS:
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Two portals on one host name (ports don't separate cookies) must not sign each other out.
_SUFFIX = f"_{ENV.whole('RCLUSTER_PORT')}"
SESSION_COOKIE_NAME = f"rcluster_session{_SUFFIX}"
CSRF_COOKIE_NAME = f"rcluster_csrf{_SUFFIX}"
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        # CodeMirror writes its theme into style elements and attributes.
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
