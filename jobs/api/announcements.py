"""What administrators announce, for everybody. To make and end it is in manage.py."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.base import ApiView
from jobs.api.pagination import OnePage
from jobs.models import Announcement
from jobs.services import announcements


class PresentAnnouncementSerializer(serializers.Serializer[Announcement]):
    id = serializers.IntegerField()
    text = serializers.CharField()
    is_warning = serializers.BooleanField()
    shown_from = serializers.DateTimeField()
    shown_until = serializers.DateTimeField(allow_null=True, help_text="null: until it is ended")


class PresentAnnouncements(ListAPIView[Announcement], ApiView):
    serializer_class = PresentAnnouncementSerializer
    pagination_class = OnePage

    def get_queryset(self) -> QuerySet[Announcement]:
        return announcements.shown_now()

    @extend_schema(operation_id="list_present_announcements")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What administrators tell everybody now: warnings first, then the newest."""
        return super().get(request, *args, **kwargs)
