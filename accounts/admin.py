"""People and their tokens for administrators."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounts.forms import AdminSignInForm
from accounts.models import ApiToken, User

# One at a time: Django notes what is deleted together in a way that the audit log does not hear of.
admin.site.disable_action("delete_selected")

admin.site.login_form = AdminSignInForm


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """What the pages below /manage/ don't have. Deleting is theirs: they look what somebody owns."""

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Who holds which token. It can be revoked (deleted); only its user can make one."""

    list_display = ("name", "user", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("expires_at",)
    search_fields = ("name", "user__username")
    fields = ("user", "name", "created_at", "expires_at", "last_used_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False
