"""People and their tokens for administrators."""

from __future__ import annotations

from typing import Generic, TypeVar

from django.contrib import admin
from django.contrib.auth import admin as auth_admin  # noqa: F401 - registers groups, which we have none of
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest

from accounts.forms import AdminSignInForm
from accounts.models import ApiToken, User

# One at a time: Django notes what is deleted together in a way that the audit log does not hear of.
admin.site.disable_action("delete_selected")

admin.site.login_form = AdminSignInForm

admin.site.unregister(Group)

Row = TypeVar("Row", bound=Model)


class ReadOnly(admin.ModelAdmin[Row], Generic[Row]):
    """Rows to look at: what people change, they change where it is checked, told and noted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(ReadOnly[User]):
    list_display = ("username", "email", "is_active", "is_staff", "last_login", "closed_at")
    list_filter = ("is_active", "is_staff")
    search_fields = ("username", "email")
    fields = (
        "username",
        "email",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
        "date_joined",
        "last_login",
        "closed_at",
    )


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly[ApiToken]):
    """Who holds which token. It can be revoked (deleted); only its user can make one."""

    list_display = ("name", "user", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("expires_at",)
    search_fields = ("name", "user__username")
    fields = ("user", "name", "created_at", "expires_at", "last_used_at")
    readonly_fields = fields

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request)
