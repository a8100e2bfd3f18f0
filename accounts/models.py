"""People and the tokens of their scripts."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.ids import new_public_id


class User(AbstractUser):
    """A person who signs in. Staff may see every Task and use the admin pages."""

    closed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Set: the account was deleted; the row stays for what it did.",
    )

    class Meta(AbstractUser.Meta):
        pass

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Together with the audit entry of who listens (accounts/commanded.py), or not at all."""
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)


class Scope(models.TextChoices):
    """What a token may be used for. One without `read` can still use what its other scopes answer."""

    READ = "read", "look at everything that I may see"
    RUN = "run", "submit, repeat and cancel Runs; make and change Tasks"
    FILES = "files", "upload, change and remove files"
    MANAGE = "manage", "share, publish, transfer, delete, tokens, administration"


def all_scopes() -> list[str]:
    return [scope.value for scope in Scope]


def usual_scopes() -> list[str]:
    """Of a new token, unless its maker says otherwise: what a script of work needs."""
    return [scope.value for scope in Scope if scope is not Scope.MANAGE]


def in_order(scopes: Iterable[str]) -> list[str]:
    """Each once, in the order of Scope. Raises ValueError for one that there is not."""
    wanted = {Scope(scope) for scope in scopes}
    return [scope.value for scope in Scope if scope in wanted]


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> ApiTokenQuerySet:
        return self.filter(expires_at__gt=timezone.now(), user__is_active=True)


class ApiToken(models.Model):
    """Lets a script act as its user. Only a hash is kept: the token is shown once."""

    LIFETIME: ClassVar[timedelta] = timedelta(days=90)
    PREFIX: ClassVar[str] = "rct_"

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    # A token has 256 random bits, so a plain hash can't be guessed back; no salt, no slow hash.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=all_scopes, help_text="what it may be used for, see Scope")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("user", "name"), name="apitoken_name_once_per_user"),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

    def allows(self, scope: Scope) -> bool:
        return scope.value in self.scopes

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def issue(
        cls,
        *,
        user: User,
        name: str,
        expires_at: datetime | None = None,
        scopes: Iterable[str] | None = None,
    ) -> tuple[ApiToken, str]:
        """A new token and its text, which exists nowhere else. Without `scopes` it may do all that
        its user may. Checks nothing: people's wishes go through accounts/tokens.py."""
        text = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user,
            name=name,
            digest=cls.digest_of(text),
            scopes=all_scopes() if scopes is None else in_order(scopes),
            expires_at=expires_at or timezone.now() + cls.LIFETIME,
        )
        return token, text

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


class AuditEntry(models.Model):
    """Who did what, and when. Written once, never changed; names stay when rows go."""

    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150, help_text="empty: the portal itself", blank=True)
    via = models.CharField(
        max_length=120, blank=True, help_text='"page", "token <name>", "command"'
    )
    address = models.GenericIPAddressField(null=True, blank=True)
    action = models.CharField(max_length=50, help_text="for example task.shared")
    subject_id = models.CharField(
        max_length=50, blank=True, help_text="public id of what it concerns"
    )
    subject = models.CharField(max_length=250, blank=True, help_text="its name then")
    detail = models.TextField(blank=True, help_text="what changed, in a sentence")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=("actor", "-id"), name="audit_actor"),
            models.Index(fields=("subject_id", "-id"), name="audit_subject"),
            models.Index(fields=("action", "-id"), name="audit_action"),
        )
        constraints = (models.CheckConstraint(condition=~Q(action=""), name="audit_has_an_action"),)

    def __str__(self) -> str:
        return f"{self.actor_name or 'the portal'} {self.action} {self.subject}"
