"""People and the tokens of their scripts."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone

from accounts.ids import new_public_id


class User(AbstractUser):
    """A person who signs in. Staff may see every Task and use the admin pages."""

    class Meta(AbstractUser.Meta):
        pass


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

    @classmethod
    def issue(
        cls, *, user: User, name: str, expires_at: datetime | None = None
    ) -> tuple[ApiToken, str]:
        """A new token and its text, which exists nowhere else."""
        text = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user,
            name=name,
            digest=cls.digest_of(text),
            expires_at=expires_at or timezone.now() + cls.LIFETIME,
        )
        return token, text

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()
