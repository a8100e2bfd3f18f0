"""Runs: submit, look, cancel, again. The log is in log.py."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from jobs import services
from jobs.api.base import ApiView, existing, needs
from jobs.api.cluster import IsAdministrator
from jobs.api.fields import Strict, Text
from jobs.api.serializers import (
    PrioritySerializer,
    RunAgainSerializer,
    RunDetailSerializer,
    RunRequestSerializer,
    RunSerializer,
)
from jobs.models import Run, Task
from jobs.services.runs import CANCEL_REASON
from jobs.states import FINAL, RunState

_STATE = OpenApiParameter(
    "state",
    str,
    description="Only Runs in these states, comma separated.",
)
_TASK = OpenApiParameter("task", str, description="Only Runs of this Task.")


_KEYS = 500
"""Tasks whose Runs are looked up by their keys"""
_SHOWN = (
    *(
        field.name
        for field in Run._meta.concrete_fields
        if field.name not in ("script_text", "stdin") and not field.is_relation
    ),
    "task__public_id",
    "environment__slug",
    "submitted_by__username",
    "repeats__public_id",
)


class CancelSerializer(Strict):
    reason = Text(
        required=False,
        max_length=CANCEL_REASON,
        help_text="told to whoever submitted it, and kept in the audit log",
    )


class RunList(ListAPIView[Run], ApiView):
    serializer_class = RunSerializer

    def listed(self, task: str = "") -> QuerySet[Run]:
        """The visible Runs, or those of one Task, in the states that ?state= asks for: no more columns
        than a list shows, so no texts of scripts."""
        runs = self._of_visible_tasks() if not task else Run.objects.filter(task=self.task(task))
        runs = runs.select_related("task", "environment", "submitted_by", "repeats").only(*_SHOWN)
        wanted = [state for state in self.request.query_params.get("state", "").split(",") if state]
        unknown = set(wanted) - {state.value for state in RunState}
        if unknown:
            states = ", ".join(state.value for state in RunState)
            raise ValidationError({"state": [f"Choose from {states}."]})
        if not wanted:
            return runs
        # What is known of finished_at besides finds the partial indexes.
        if not FINAL.isdisjoint(wanted):
            runs = runs.filter(finished_at__isnull=False) if FINAL.issuperset(wanted) else runs
        else:
            runs = runs.filter(finished_at__isnull=True)
        return runs.filter(state__in=wanted)

    def _of_visible_tasks(self) -> QuerySet[Run]:
        """By the Tasks' keys, where these are not too many: with a join the database can't tell
        somebody with few Runs among many from somebody with many, and reads them all."""
        if self.user.is_staff:
            return Run.objects.visible_to(self.user)
        visible = Task.objects.visible_to(self.user).order_by()
        keys = list(visible.values_list("pk", flat=True)[: _KEYS + 1])
        if len(keys) > _KEYS:
            return Run.objects.visible_to(self.user)
        return Run.objects.filter(task__in=keys)


class Runs(RunList):
    def get_queryset(self) -> QuerySet[Run]:
        return self.listed(self.request.query_params.get("task", ""))

    @extend_schema(operation_id="list_runs", parameters=[_STATE, _TASK])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Runs that I may see."""
        return super().get(request, *args, **kwargs)


class TaskRuns(RunList):
    scopes = needs(POST=Scope.RUN)

    def get_queryset(self) -> QuerySet[Run]:
        return self.listed(self.kwargs["task"])

    @extend_schema(operation_id="list_task_runs", parameters=[_STATE])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Runs of a Task."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="submit_run",
        request=RunRequestSerializer,
        responses={201: RunDetailSerializer},
    )
    def post(self, request: Request, task: str) -> Response:
        """Run a script of the Task's code folder, or a command."""
        found = self.task(task)
        asked = RunRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return submitted(services.submit(user=self.user, task=found, request=asked.request()))


class OneRun(ApiView):
    @extend_schema(operation_id="run", responses=RunDetailSerializer)
    def get(self, request: Request, run: str) -> Response:
        """One Run: what was asked and what happened."""
        runs = self.runs().defer(None).defer("repeats__script_text", "repeats__stdin")
        return Response(RunDetailSerializer(existing(runs, run)).data)


class CancelRun(ApiView):
    scopes = needs(POST=Scope.RUN)

    @extend_schema(
        operation_id="cancel_run", request=CancelSerializer, responses=RunDetailSerializer
    )
    def post(self, request: Request, run: str) -> Response:
        """Ask for the end of a Run. Safe to repeat; a Run that has ended stays as it is."""
        found = self.run(run)
        asked = CancelSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        cancelled = services.cancel(user=self.user, run=found, **asked.validated_data)
        return Response(RunDetailSerializer(cancelled).data)


class PrioritizeRun(ApiView):
    scopes = needs(POST=Scope.MANAGE)
    permission_classes = (IsAuthenticated, IsAdministrator)

    @extend_schema(
        operation_id="prioritize_run", request=PrioritySerializer, responses=RunDetailSerializer
    )
    def post(self, request: Request, run: str) -> Response:
        """Administrators: a waiting Run goes before all with a lower priority, and after all with a
        higher one. Safe to repeat. Refused (400) once it waits no more, and for a quick command."""
        found = self.run(run)
        asked = PrioritySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.prioritize(user=self.user, run=found, **asked.validated_data)
        return Response(RunDetailSerializer(found).data)


class RunAgain(ApiView):
    scopes = needs(POST=Scope.RUN)

    @extend_schema(
        operation_id="run_again", request=RunAgainSerializer, responses={201: RunDetailSerializer}
    )
    def post(self, request: Request, run: str) -> Response:
        """Submit the same once more: script text, arguments, variables, stdin; and the same resources,
        but for what the body gives (after it ran out of memory, say)."""
        found = self.run(run)
        asked = RunAgainSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return submitted(services.run_again(user=self.user, run=found, **asked.validated_data))


def submitted(run: Run) -> Response:
    return Response(
        RunDetailSerializer(run).data,
        status=HTTPStatus.CREATED,
        headers={"Location": reverse("api-run", args=[run.public_id])},
    )
