"""Signing in, passwords, tokens: errors are sentences that say what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.utils import timezone

from accounts import refusals, tokens
from accounts.models import ApiToken, Scope, User, usual_scopes
from accounts.throttle import SignInThrottle

TOO_MANY = "Too many wrong passwords. Wait five minutes, then try again."


class _Styled:
    """Puts the site's look on every field."""

    fields: dict[str, forms.Field]

    def style(self) -> None:
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "input")


class _Throttled(AuthenticationForm):
    """Looks at no more passwords than accounts/throttle.py admits."""

    def clean(self) -> dict[str, Any]:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request is not None else ""
        username = self.cleaned_data.get("username", "")
        throttle = SignInThrottle(username, address)
        if not throttle.admits():
            if throttle.has_just_closed:
                refusals.throttled(username)
            raise forms.ValidationError(TOO_MANY, code="throttled")
        cleaned: dict[str, Any] = super().clean()
        throttle.reopen()
        return cleaned


class AdminSignInForm(_Throttled, AdminAuthenticationForm):
    """Of Django's own admin pages."""


class SignInForm(_Styled, _Throttled):
    error_messages = {  # noqa: RUF012 - Django's own attribute
        "invalid_login": "That name and password don't belong together. Both are case-sensitive. "
        "If you forgot the password, your administrator can give you a link to choose a new one.",
        "inactive": "This account is switched off. Ask your administrator.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "User name"
        self.style()


class PasswordForm(_Styled, PasswordChangeForm):
    """Looks at no more present passwords than signing in does: who found a session open may guess."""

    error_messages = {  # noqa: RUF012 - Django's own attribute
        **PasswordChangeForm.error_messages,
        "password_incorrect": "That is not your present password. Type it again.",
        "password_mismatch": "The two new passwords differ. Type the same one twice.",
    }

    def __init__(self, *args: Any, address: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._address = address
        self.fields["old_password"].label = "Present password"
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        self.fields["new_password2"].label = "New password again"
        self.style()

    def clean_old_password(self) -> str:
        throttle = SignInThrottle(self.user.get_username(), self._address)
        if not throttle.admits():
            if throttle.has_just_closed:
                refusals.throttled(self.user.get_username(), detail="on the account page")
            raise forms.ValidationError(TOO_MANY, code="throttled")
        try:
            password = super().clean_old_password()
        except forms.ValidationError:
            refusals.wrong_present_password(self.user)
            raise
        throttle.reopen()
        return password


class TokenForm(_Styled, forms.Form):
    """A name by which its owner knows it again, what it may be used for, and for how long."""

    LIFETIMES = (
        ("1", "a day"),
        ("7", "a week"),
        ("30", "30 days"),
        ("90", "90 days"),
        ("365", "a year"),
    )

    name = forms.CharField(
        max_length=100,
        label="Name",
        error_messages={"required": "Give the token a name, so that you know later what uses it."},
    )
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=usual_scopes,
        widget=forms.CheckboxSelectMultiple,
        label="It may be used to",
        error_messages={"required": "Choose what the token may be used for."},
    )
    days = forms.ChoiceField(choices=LIFETIMES, initial="90", label="Valid for")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["name"].widget.attrs.update(
            {"placeholder": "nightly report", "autocomplete": "off"}
        )
        self.fields["scopes"].widget.attrs["class"] = ""
        self.fields["days"].widget.attrs["class"] = "select"
        self.style()
        for name in self.errors if self.is_bound else ():
            self.fields[name].widget.attrs["aria-invalid"] = "true"

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if ApiToken.objects.filter(user=self.user, name=name).exists():
            raise forms.ValidationError(
                "You have a token of this name already. Choose another or revoke that one."
            )
        return name

    def make(self) -> tuple[ApiToken, str]:
        """The token and its text. Raises TokenRefused if another of the name was faster."""
        days = timedelta(days=int(self.cleaned_data["days"]))
        return tokens.make(
            user=self.user,
            name=self.cleaned_data["name"],
            scopes=self.cleaned_data["scopes"],
            expires_at=timezone.now() + days,
        )
