"""Who else may use a Task, and the people who could be named."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db.models import Manager, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, User
from files.models import DatasetMember
from jobs import services
from jobs.api.base import ApiView, needs
from jobs.api.fields import Strict, Text
from jobs.api.pagination import OnePage
from jobs.api.serializers import moment
from jobs.models import Role, TaskMember

_ASKED = OpenApiParameter(
    "q",
    str,
    description="How a user name or a name begins, at least two characters; or an e-mail address.",
)


class PersonSerializer(serializers.Serializer[User]):
    username = serializers.CharField()
    name = serializers.CharField(source="get_full_name")


class MemberSerializer(serializers.Serializer[TaskMember]):
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name")
    role = serializers.ChoiceField(choices=Role.choices)
    added_at = moment()
    added_by = serializers.CharField(source="added_by.username")


class RoleSerializer(Strict):
    role = serializers.ChoiceField(choices=Role.choices)


class TransferSerializer(Strict):
    to = Text(max_length=254, allow_blank=False, help_text="user name of the new owner")


class TaskMembers(ListAPIView[TaskMember], ApiView):
    serializer_class = MemberSerializer
    pagination_class = OnePage

    def get_queryset(self) -> QuerySet[TaskMember]:
        return self.task(self.kwargs["task"]).members.select_related("user", "added_by")

    @extend_schema(operation_id="list_task_members")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The members of a Task, which its members see, too. Its owner is none of them."""
        return super().get(request, *args, **kwargs)


class TaskOneMember(ApiView):
    scopes = needs(PUT=Scope.MANAGE, DELETE=Scope.MANAGE)

    @extend_schema(
        operation_id="share_task",
        request=RoleSerializer,
        responses={200: MemberSerializer},
    )
    def put(self, request: Request, task: str, username: str) -> Response:
        """Make somebody a member, or change their role. Only the owner can."""
        found = self.task(task)
        services.must_manage(self.user, found)
        asked = RoleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = services.person_named(username)
        member = services.share_task(
            user=self.user, task=found, person=person, role=asked.validated_data["role"]
        )
        return Response(MemberSerializer(member).data)

    @extend_schema(operation_id="unshare_task", request=None, responses={204: None})
    def delete(self, request: Request, task: str, username: str) -> Response:
        """Take the Task back from a member; or, with my own name, leave it."""
        found = self.task(task)
        may = partial(services.must_manage, self.user, found)
        person = leaving(self.user, username, found.members, may)
        services.unshare_task(user=self.user, task=found, person=person)
        return Response(status=HTTPStatus.NO_CONTENT)


def leaving(
    user: User,
    username: str,
    members: Manager[TaskMember] | Manager[DatasetMember],
    must_manage: Callable[[], None],
) -> User:
    """As services.leaving(); nobody there is 404."""
    person = services.leaving(user, username, members, must_manage)
    if person is None:
        raise Http404
    return person


class People(ListAPIView[User], ApiView):
    serializer_class = PersonSerializer
    pagination_class = OnePage

    def get_queryset(self) -> Any:
        return services.find_people(self.user, self.request.query_params.get("q", ""))

    @extend_schema(operation_id="find_people", parameters=[_ASKED])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """People to share with, at most eight. E-mail addresses are never told."""
        return super().get(request, *args, **kwargs)
