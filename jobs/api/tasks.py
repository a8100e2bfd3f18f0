"""Tasks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import services
from jobs.api.base import ApiView
from jobs.api.serializers import TaskRequestSerializer, TaskSerializer
from jobs.models import Task


class Tasks(ListAPIView[Task], ApiView):
    serializer_class = TaskSerializer

    def get_queryset(self) -> QuerySet[Task]:
        return self.tasks()

    @extend_schema(operation_id="list_tasks")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Tasks that I may see."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_task", request=TaskRequestSerializer, responses={201: TaskSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a Task with empty folders."""
        asked = TaskRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        task = services.create_task(user=self.user, **asked.validated_data)
        return Response(
            TaskSerializer(task).data,
            status=HTTPStatus.CREATED,
            headers={"Location": f"{request.path.rstrip('/')}/{task.public_id}"},
        )


class OneTask(ApiView):
    @extend_schema(operation_id="task", responses=TaskSerializer)
    def get(self, request: Request, task: str) -> Response:
        """One Task."""
        return Response(TaskSerializer(self.task(task)).data)

    @extend_schema(
        operation_id="change_task", request=TaskRequestSerializer, responses=TaskSerializer
    )
    def patch(self, request: Request, task: str) -> Response:
        """Rename a Task, or change what its Runs usually ask for."""
        found = self.task(task)
        asked = TaskRequestSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        changed = services.update_task(user=self.user, task=found, **asked.validated_data)
        return Response(TaskSerializer(changed).data)
