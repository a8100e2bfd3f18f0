"""Choosing a password with a link that an administrator gave: see jobs/services/people.py."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy

from accounts import audit
from accounts.audit import Action
from accounts.forms import PasswordForm
from accounts.models import User


class ChooseForm(SetPasswordForm):  # type: ignore[type-arg] # no generic at run time
    error_messages = PasswordForm.error_messages

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].label = "Password"
        self.fields["new_password2"].label = "Password again"
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"


class ChoosePassword(PasswordResetConfirmView):
    """The link's token goes into the session and out of the address; then the form is shown."""

    template_name = "accounts/choose_password.html"
    form_class = ChooseForm
    reset_url_token = "form"  # noqa: S105 - a word in the address
    success_url = reverse_lazy("home")
    post_reset_login = True
    post_reset_login_backend = "django.contrib.auth.backends.ModelBackend"

    def get_user(self, uidb64: str) -> Any:
        person = super().get_user(uidb64)
        return person if isinstance(person, User) and person.is_active else None

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
            audit.note(self.user, Action.PASSWORD_CHANGED, detail="with a link")
        return response


choose_password = ChoosePassword.as_view()
