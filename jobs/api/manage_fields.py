"""What administrators send and get about people, limits, announcements and the audit log."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.audit import phrase
from accounts.models import AuditEntry
from jobs.api.fields import Cores, Flag, Moment, Strict, Text, Whole
from jobs.models import Announcement, Site, UserLimits
from jobs.services.announcements import LONGEST

_FAR = 2**62


def _limit(what: str, most: int) -> Whole:
    return Whole(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=most,
        help_text=f"{what}; null: no limit",
    )


class LimitsSerializer(Strict):
    """At most at a time. What is left out stays as it is."""

    max_running = _limit("Runs that run", 10**6)
    max_queued = _limit("Runs that wait", 10**6)
    max_cpus = Cores(
        required=False,
        allow_null=True,
        min_value=0.05,
        max_value=999_999,
        help_text="of all Runs that run, together; null: no limit",
    )
    max_memory = _limit("bytes of all Runs that run, together", 2**60)
    max_storage = _limit("bytes of all Tasks and Datasets that they own", _FAR)
    share = Cores(
        required=False,
        min_value=0.01,
        max_value=1000,
        help_text="weight in the queue: 2 may use twice as much as others before they go first",
    )


class LimitsAnswerSerializer(serializers.Serializer[UserLimits]):
    max_running = serializers.IntegerField(allow_null=True)
    max_queued = serializers.IntegerField(allow_null=True)
    max_cpus = serializers.FloatField(allow_null=True)
    max_memory = serializers.IntegerField(allow_null=True, help_text="bytes")
    max_storage = serializers.IntegerField(allow_null=True, help_text="bytes")
    share = serializers.FloatField()
    is_own = serializers.SerializerMethodField(help_text="false: everybody's, or none at all")

    def get_is_own(self, limits: UserLimits) -> bool:
        return limits.pk is not None and limits.user_id is not None


class SiteSerializer(serializers.Serializer[Site]):
    publishes_by_default = serializers.BooleanField(
        help_text="the output of a new Task is published from the start"
    )
    backend = serializers.CharField(help_text="what new Runs start on")
    storage_total = serializers.IntegerField(
        allow_null=True, help_text="bytes; null: not known yet"
    )
    storage_free = serializers.IntegerField(allow_null=True, help_text="bytes; null: not known yet")


class SiteChangeSerializer(Strict):
    publishes_by_default = Flag(required=False)


class PresentUseSerializer(serializers.Serializer[Any]):
    running = serializers.IntegerField()
    queued = serializers.IntegerField()
    cpus = serializers.FloatField()
    memory = serializers.IntegerField(help_text="bytes")
    storage = serializers.IntegerField(help_text="bytes, as last measured")


class AccountSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    email = serializers.CharField()
    is_active = serializers.BooleanField()
    is_staff = serializers.BooleanField(help_text="an administrator")
    since = serializers.DateTimeField(source="date_joined")
    last_sign_in = serializers.DateTimeField(source="last_login", allow_null=True)


class AccountDetailSerializer(AccountSerializer):
    use = PresentUseSerializer()
    limits = LimitsAnswerSerializer()


class NewAccountSerializer(Strict):
    username = Text(max_length=100)
    email = Text(required=False, max_length=254)
    is_staff = Flag(required=False)


class AccountChangeSerializer(Strict):
    email = Text(required=False, max_length=254)
    is_staff = Flag(required=False)
    is_active = Flag(
        required=False, help_text="false: signed out everywhere at once, and every token is revoked"
    )
    cancel_runs = Flag(
        required=False, help_text="with is_active false: their Runs are cancelled, too"
    )


class LinkSerializer(serializers.Serializer[Any]):
    link = serializers.CharField(
        help_text="lets whoever has it choose the password, once; it is in this answer and nowhere else"
    )
    expires_at = serializers.DateTimeField()


class HandOverSerializer(Strict):
    to = Text(max_length=150, help_text="user name of the new owner")


class HandedOverSerializer(serializers.Serializer[Any]):
    tasks = serializers.IntegerField()
    datasets = serializers.IntegerField()


class AnnouncementSerializer(serializers.Serializer[Announcement]):
    id = serializers.IntegerField()
    text = serializers.CharField()
    is_warning = serializers.BooleanField()
    shown_from = serializers.DateTimeField()
    shown_until = serializers.DateTimeField(allow_null=True, help_text="null: until it is ended")
    created_by = serializers.CharField(source="created_by.username")


class NewAnnouncementSerializer(Strict):
    text = Text(max_length=LONGEST)
    is_warning = Flag(required=False)
    shown_from = Moment(required=False, help_text="default: now")
    shown_until = Moment(required=False, allow_null=True)


class AuditSerializer(serializers.Serializer[AuditEntry]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    person = serializers.CharField(source="actor_name", help_text='"": the portal itself')
    did = serializers.SerializerMethodField(help_text="as it reads behind the name")
    action = serializers.CharField()
    subject = serializers.CharField(help_text="its name then")
    subject_id = serializers.CharField()
    detail = serializers.CharField()
    via = serializers.CharField(help_text='"page", "token <name>", "command" or ""')
    address = serializers.CharField(allow_null=True)

    def get_did(self, entry: AuditEntry) -> str:
        return phrase(entry.action, entry.subject)
