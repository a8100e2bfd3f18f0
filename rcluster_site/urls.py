"""Addresses: a contract that clients and scripts lean on."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

from jobs.api.urls import docs
from rcluster_site import checks  # noqa: F401 - registers them
from rcluster_site.health import healthz, readyz
from rcluster_site.metrics import metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    # The account page asks for the present password, counts tries and tells the audit log.
    path(
        "admin/password_change/",
        RedirectView.as_view(pattern_name="account", http_method_names=["get", "head"]),
    ),
    path("admin/", admin.site.urls),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs/", docs, name="api-docs"),
    path("api/v1/", include("jobs.api.urls")),
    path("", include("accounts.urls")),
    path("", include("jobs.views.urls")),
]
