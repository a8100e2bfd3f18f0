"""Apps, language, time."""

from pathlib import Path

import django_stubs_ext

from rcluster_site import env

# ModelAdmin[Run] and the like also at run time.
django_stubs_ext.monkeypatch()

ENV = env.read()
BASE_DIR = Path(__file__).resolve().parent.parent.parent
DEBUG = ENV.flag("RCLUSTER_DEBUG")

INSTALLED_APPS = [
    "accounts",  # before auth: its createsuperuser and changepassword tell the audit log
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "django_vite",
    "files",
    "jobs",
]

AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "rcluster_site.urls"
ASGI_APPLICATION = "rcluster_site.asgi.application"

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = ENV.text("RCLUSTER_TIME_ZONE")
