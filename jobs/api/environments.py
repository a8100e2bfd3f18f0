"""Environments: everybody sees them, administrators add, change, check and retire them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.permissions import SAFE_METHODS, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from jobs.api.base import ApiView, needs
from jobs.api.fields import Flag, Strict, Text
from jobs.api.pagination import OnePage
from jobs.api.serializers import RunDetailSerializer, moment
from jobs.models import Environment, EnvironmentState, PullPolicy, Run
from jobs.services import environments as services
from jobs.services.environment_fields import LONGEST_DESCRIPTION, MOST_PACKAGES
from jobs.states import RunState

STATES = [state.value for state in EnvironmentState]
RUN_STATES = [state.value for state in RunState]
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
_ALL = OpenApiParameter(
    "all", bool, description="true: also those that can't be chosen: see their state."
)


class CheckSerializer(serializers.Serializer[Run]):
    """The latest smoke test of an Environment."""

    run = serializers.CharField(
        source="public_id", help_text="its Run, which only administrators may see"
    )
    state = serializers.ChoiceField(choices=RUN_STATES)
    explanation = serializers.CharField(help_text="what it does or waits for, or R's own error")
    image_digest = serializers.CharField(help_text="the image that was tested")
    created_at = moment()
    finished_at = moment(allow_null=True)


class EnvironmentSerializer(serializers.Serializer[Environment]):
    id = serializers.CharField(source="slug")
    name = serializers.CharField()
    description = serializers.CharField()
    image = serializers.CharField(help_text="Empty: the R that is installed on the machine.")
    pull_policy = serializers.ChoiceField(choices=PullPolicy.choices)
    digest = serializers.CharField(
        source="tested_digest",
        help_text="the image that last passed its test; each Run names the one that it had itself",
    )
    digest_since = moment(
        source="tested_since", allow_null=True, help_text="when a test first met that image"
    )
    packages = serializers.ListField(
        child=serializers.CharField(), help_text="R packages that its smoke test loads"
    )
    constraints = serializers.CharField(help_text="attributes that the machine of its Runs has")
    state = serializers.ChoiceField(
        choices=STATES,
        help_text='Only "ready" ones may be chosen.',
    )
    is_default = serializers.BooleanField()
    ready_at = moment(
        source="passed_at", allow_null=True, help_text="when its image first passed its test"
    )
    retired_at = moment(allow_null=True)
    check = CheckSerializer(source="check_run", allow_null=True, help_text="null: none yet")


class EnvironmentChangesSerializer(Strict):
    name = Text(required=False, max_length=100)
    description = Text(required=False, max_length=LONGEST_DESCRIPTION)
    image = Text(
        required=False, max_length=500, help_text="for example registry.example.org/team/r:4.4"
    )
    pull_policy = serializers.ChoiceField(choices=PullPolicy.choices, required=False)
    packages = serializers.ListField(
        child=Text(max_length=100),
        required=False,
        max_length=MOST_PACKAGES,
        help_text="loaded with library() before anybody may choose the Environment",
    )
    constraints = Text(required=False, max_length=500, help_text="disk:ssd, zone:a")
    is_default = Flag(required=False, help_text="true: the usual one from now on")
    retired = Flag(
        required=False, help_text="true: no new Run may choose it; false: take it back into use"
    )

    def validate_is_default(self, value: bool) -> bool:
        if not value:
            raise ValidationError("Make another one the usual one instead.")
        return value


class NewEnvironmentSerializer(Strict):
    id = Text(
        required=False,
        max_length=50,
        help_text="Default: made from the name. Small letters, digits, - and _.",
    )
    name = Text(max_length=100, allow_blank=False)
    description = Text(required=False, max_length=LONGEST_DESCRIPTION)
    image = Text(max_length=500, help_text="for example registry.example.org/team/r:4.4")
    pull_policy = serializers.ChoiceField(choices=PullPolicy.choices, required=False)
    packages = serializers.ListField(
        child=Text(max_length=100),
        required=False,
        max_length=MOST_PACKAGES,
        help_text="loaded with library() before anybody may choose the Environment",
    )
    constraints = Text(required=False, max_length=500, help_text="disk:ssd, zone:a")


class AdministratorsWrite(IsAdminUser):
    message = "Only administrators may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        method = str(request.method)
        if method in SAFE_METHODS or not hasattr(view, method.lower()):
            return True  # What there is not for anybody is answered 405.
        return super().has_permission(request, view)


class EnvironmentView(ApiView):
    permission_classes = (IsAuthenticated, AdministratorsWrite)

    def environment(self, slug: str) -> Environment:
        found = None
        if _SLUG.fullmatch(slug):
            found = services.managed_environments().filter(slug=slug).first()
        if found is None:
            raise Http404
        return found

    def answer(self, environment: Environment, **options: Any) -> Response:
        """As it is now: a change may have begun a check."""
        found = services.managed_environments().get(pk=environment.pk)
        return Response(EnvironmentSerializer(found).data, **options)


class Environments(ListAPIView[Environment], EnvironmentView):
    serializer_class = EnvironmentSerializer
    pagination_class = OnePage
    scopes = needs(POST=Scope.MANAGE)

    def get_queryset(self) -> QuerySet[Environment]:
        asked = self.request.query_params.get("all", "false")
        if asked not in ("true", "false"):
            raise ValidationError({"all": ["Give true or false."]})
        found = services.managed_environments()
        return found if asked == "true" else found.filter(pk__in=Environment.objects.offered())

    @extend_schema(operation_id="list_environments", parameters=[_ALL])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Environments that a Run may choose, the usual one first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="add_environment",
        request=NewEnvironmentSerializer,
        responses={201: EnvironmentSerializer},
    )
    def post(self, request: Request) -> Response:
        """Administrators: add an Environment. Its image is pulled and its packages are loaded once,
        in a Run that `check` names; when that has succeeded, Runs may choose it."""
        asked = NewEnvironmentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = dict(asked.validated_data)
        made = services.add_environment(user=self.user, slug=fields.pop("id", ""), **fields)
        location = reverse("api-environment", args=[made.slug])
        return self.answer(made, status=HTTPStatus.CREATED, headers={"Location": location})


class OneEnvironment(EnvironmentView):
    scopes = needs(PATCH=Scope.MANAGE)

    @extend_schema(operation_id="environment", responses=EnvironmentSerializer)
    def get(self, request: Request, environment: str) -> Response:
        """One Environment, also one that can't be chosen now: Runs of old name theirs for ever."""
        return self.answer(self.environment(environment))

    @extend_schema(
        operation_id="change_environment",
        request=EnvironmentChangesSerializer,
        responses=EnvironmentSerializer,
    )
    def patch(self, request: Request, environment: str) -> Response:
        """Administrators: change it, retire it, take it back, make it the usual one. Another image is
        checked before Runs may choose it; other packages are checked meanwhile."""
        found = self.environment(environment)
        asked = EnvironmentChangesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.answer(
            services.update_environment(user=self.user, environment=found, **asked.validated_data)
        )


class CheckEnvironment(EnvironmentView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(operation_id="check_environment", request=None, responses=RunDetailSerializer)
    def post(self, request: Request, environment: str) -> Response:
        """Administrators: check it (again): pull what its image stands for now and load its packages.
        The answer is the Run that does it; one that is under way is not begun twice."""
        found = self.environment(environment)
        run = services.check_environment(user=self.user, environment=found)
        return Response(RunDetailSerializer(self.run(run.public_id)).data)
