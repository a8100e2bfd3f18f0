"""Tasks: list, make, change, archive, duplicate, give away, delete. Members are in members.py."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import must_allow
from accounts.models import ApiToken, Scope
from jobs import services
from jobs.api.base import ApiView, existing, needs
from jobs.api.fields import Strict, Text
from jobs.api.members import TransferSerializer
from jobs.api.serializers import TaskRequestSerializer, TaskSerializer
from jobs.models import Task, TaskMember

_ARCHIVED = OpenApiParameter(
    "archived", bool, description="true: only those in the archive; false: only the others."
)
_SHARED = OpenApiParameter(
    "shared", bool, description="true: only those of others that I am a member of; false: my own."
)
_DELETED = OpenApiParameter(
    "deleted", bool, description="true: those in the bin that I may restore, instead of the others."
)
_NAME = OpenApiParameter("name", str, description="Only those whose name has this text in it.")


class DuplicateSerializer(Strict):
    name = Text(
        required=False,
        max_length=200,
        allow_blank=False,
        help_text="of the new Task; default: Copy of ...",
    )


class DuplicatedSerializer(TaskSerializer):
    left_out = serializers.SerializerMethodField(
        help_text='what was not copied so far: links, files that cannot be read ("code/link"), '
        'Datasets that I may not use ("data/rivers")',
    )

    def get_left_out(self, task: Task) -> list[str]:
        left_out: list[str] = self.context["left_out"]
        return left_out


class TaskView(ApiView):
    def tasks(self) -> QuerySet[Task]:
        """Those that this person may see, with what they may do there."""
        return self.described(Task.objects.visible_to(self.user))

    def binned(self) -> QuerySet[Task]:
        return self.described(Task.objects.in_bin_of(self.user))

    def described(self, tasks: QuerySet[Task]) -> QuerySet[Task]:
        own = TaskMember.objects.filter(task=OuterRef("pk"), user_id=self.user.pk)
        role = Subquery(own.values("role")[:1], output_field=CharField())
        related = tasks.select_related("owner", "environment", "copy")
        return related.prefetch_related("datasets").annotate(member_role=role)

    def answer(
        self,
        task: Task,
        status: HTTPStatus = HTTPStatus.OK,
        shape: type[TaskSerializer] = TaskSerializer,
        **context: Any,
    ) -> Response:
        body = shape(task, context={"user": self.user, **context}).data
        headers = None
        if status is HTTPStatus.CREATED:
            headers = {"Location": reverse("api-task", args=[task.public_id])}
        return Response(body, status, headers=headers)

    def must_allow(self, scope: Scope) -> None:
        """For what needs more of a token than the method says."""
        if isinstance(self.request.auth, ApiToken):
            must_allow(self.request.auth, scope)


class Tasks(ListAPIView[Task], TaskView):
    serializer_class = TaskSerializer
    scopes = needs(POST=Scope.RUN)

    def get_queryset(self) -> QuerySet[Task]:
        tasks = self.binned() if self.choice("deleted") else self.tasks()
        if (archived := self.choice("archived")) is not None:
            tasks = tasks.filter(archived_at__isnull=not archived)
        if (shared := self.choice("shared")) is not None:
            me = self.user.pk
            tasks = tasks.filter(members__user=me) if shared else tasks.filter(owner=me)
        name = self.request.query_params.get("name", "").replace("\0", "")
        return tasks.filter(name__icontains=name) if name else tasks

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "user": self.request.user}

    @extend_schema(operation_id="list_tasks", parameters=[_ARCHIVED, _SHARED, _DELETED, _NAME])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Tasks that I may see: my own and those shared with me, in the archive or not."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_task", request=TaskRequestSerializer, responses={201: TaskSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a Task with empty folders."""
        asked = TaskRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        archived = given.pop("archived", False)
        if archived or given.get("published"):
            self.must_allow(Scope.MANAGE)
        with transaction.atomic():
            task = services.create_task(user=self.user, **given)
            if archived:
                services.archive_task(user=self.user, task=task)
        return self.answer(task, HTTPStatus.CREATED)


class OneTask(TaskView):
    scopes = needs(PATCH=Scope.RUN, DELETE=Scope.MANAGE)

    @extend_schema(operation_id="task", responses=TaskSerializer)
    def get(self, request: Request, task: str) -> Response:
        """One Task."""
        return self.answer(self.task(task))

    @extend_schema(
        operation_id="change_task", request=TaskRequestSerializer, responses=TaskSerializer
    )
    def patch(self, request: Request, task: str) -> Response:
        """Rename or describe a Task, archive it, publish its output, or change what its Runs usually
        ask for. A token needs the scope `manage` to archive or publish."""
        found = self.task(task)
        asked = TaskRequestSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        with transaction.atomic():
            change(self, found, dict(asked.validated_data))
        return self.answer(found)

    @extend_schema(
        operation_id="delete_task",
        request=None,
        parameters=[
            OpenApiParameter(
                "cancel", bool, description="true: cancel its Runs first. Else they refuse it."
            )
        ],
        responses={204: None, 409: None},
    )
    def delete(self, request: Request, task: str) -> Response:
        """Put a Task into the bin. It can be restored for some days; then its files go. Answers 409
        while Runs of it wait or run."""
        cancel = bool(self.choice("cancel"))
        services.delete_task(user=self.user, task=self.task(task), cancel_runs=cancel)
        return Response(status=HTTPStatus.NO_CONTENT)


def change(view: TaskView, task: Task, changes: dict[str, Any]) -> None:
    """What a request wants changed, by the services that do it. Call it in a transaction."""
    published, archived = changes.pop("published", None), changes.pop("archived", None)
    if published is not None or archived is not None:
        view.must_allow(Scope.MANAGE)
    if published is not None:
        act = services.publish if published else services.unpublish
        act(user=view.user, task=task)
    if archived is not None:
        put = services.archive_task if archived else services.unarchive_task
        put(user=view.user, task=task)
    if changes or (published is None and archived is None):
        services.update_task(user=view.user, task=task, **changes)


class DuplicateTask(TaskView):
    scopes = needs(POST=Scope.RUN)

    @extend_schema(
        operation_id="duplicate_task",
        request=DuplicateSerializer,
        responses={201: DuplicatedSerializer},
    )
    def post(self, request: Request, task: str) -> Response:
        """A new Task of mine with the settings, code and input of this one, without output and Runs.
        While `copying` is not null its files are still on their way, and nothing can run in it."""
        asked = DuplicateSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        left_out: list[str] = []
        name = asked.validated_data.get("name", "")
        made = services.duplicate_task(
            user=self.user, task=self.task(task), name=name, left_out=left_out
        )
        new = existing(self.tasks(), made.public_id)
        return self.answer(new, HTTPStatus.CREATED, DuplicatedSerializer, left_out=left_out)


class TaskCopy(TaskView):
    """Of a duplicate whose files have not all arrived."""

    scopes = needs(POST=Scope.RUN, DELETE=Scope.RUN)
    bodiless = ("POST", "DELETE")

    @extend_schema(operation_id="copy_again", request=None, responses=TaskSerializer)
    def post(self, request: Request, task: str) -> Response:
        """Go on with the copy of a duplicate's files after what stopped it (`problem` in `copying`) was put
        right. Safe to repeat; a Task that is complete stays as it is."""
        services.try_copy_again(user=self.user, task=self.task(task))
        return self.answer(existing(self.tasks(), task))

    @extend_schema(operation_id="give_up_copy", request=None, responses={204: None})
    def delete(self, request: Request, task: str) -> Response:
        """Use a duplicate with the files that have arrived. Safe to repeat."""
        services.give_up_copy(user=self.user, task=self.task(task))
        return Response(status=HTTPStatus.NO_CONTENT)


class TransferTask(TaskView):
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(
        operation_id="transfer_task", request=TransferSerializer, responses=TaskSerializer
    )
    def post(self, request: Request, task: str) -> Response:
        """Give a Task to another owner, who is asked for nothing. I stay in it as an editor."""
        found = self.task(task)
        services.must_manage(self.user, found)
        asked = TransferSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = services.person_named(asked.validated_data["to"], field="to")
        services.transfer_task(user=self.user, task=found, person=person)
        return self.answer(existing(self.tasks(), task))


class RestoreTask(TaskView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(operation_id="restore_task", request=None, responses=TaskSerializer)
    def post(self, request: Request, task: str) -> Response:
        """Take a Task out of the bin, as it was. One that isn't in it stays as it is."""
        found = self.binned().filter(public_id=task).first()
        if found is None:
            found = self.task(task)
        return self.answer(services.restore_task(user=self.user, task=found))


class PurgeTask(TaskView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(operation_id="purge_task", request=None, responses={202: None})
    def post(self, request: Request, task: str) -> Response:
        """Remove a Task that is in the bin for good, now, with all its files. There is no way back."""
        services.purge_task(user=self.user, task=existing(self.binned(), task))
        return Response(status=HTTPStatus.ACCEPTED)
