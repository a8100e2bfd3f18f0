"""Datasets: shared data. Their files are in dataset_files.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import must_allow
from accounts.models import ApiToken, Scope
from files.models import Dataset, DatasetMember, DatasetRole
from jobs import services
from jobs.api.base import ApiView, existing, needs
from jobs.api.fields import Flag, Strict, Text
from jobs.api.members import TransferSerializer, leaving
from jobs.api.pagination import OnePage
from jobs.api.serializers import moment
from jobs.services.checks import DESCRIPTION_LIMIT
from jobs.services.datasets import goes_at
from jobs.services.using import Use, use_of

ROLES = ("owner", *DatasetRole.values)

_DELETED = OpenApiParameter(
    "deleted", bool, description="true: those in the bin that I may restore, instead of the others."
)


class DatasetSerializer(serializers.Serializer[Dataset]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    mount = serializers.SerializerMethodField(help_text="where scripts find it, read-only")
    owner = serializers.CharField(source="owner.username")
    role = serializers.SerializerMethodField(
        help_text='what I may do: "owner" everything, "editor" also change files, "reader" use it'
    )
    for_everybody = serializers.BooleanField(help_text="Everybody who can sign in may use it.")
    in_place = serializers.SerializerMethodField(
        help_text="A folder that was registered: its files are never changed or removed from here."
    )
    size = serializers.IntegerField(help_text="bytes, as last measured")
    file_count = serializers.IntegerField()
    measured_at = moment(allow_null=True, help_text="null: not measured yet")
    measured_in_part = serializers.BooleanField(
        help_text="There is more than could be counted in time."
    )
    created_at = moment()
    deleted_at = moment(allow_null=True)
    goes_at = serializers.SerializerMethodField(
        help_text="when one in the bin is removed for good, with its files"
    )
    url = serializers.SerializerMethodField(help_text="its page")

    def get_mount(self, dataset: Dataset) -> str:
        return f"/data/{dataset.name}"

    @extend_schema_field(serializers.ChoiceField(choices=list(ROLES)))
    def get_role(self, dataset: Dataset) -> str:
        user = self.context["user"]
        if user.is_staff or dataset.owner_id == user.pk:
            return "owner"
        return getattr(dataset, "member_role", None) or DatasetRole.READER.value

    def get_in_place(self, dataset: Dataset) -> bool:
        return bool(dataset.path)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_goes_at(self, dataset: Dataset) -> Any:
        return moment().to_representation(at) if (at := goes_at(dataset)) else None

    def get_url(self, dataset: Dataset) -> str:
        return reverse("dataset", args=[dataset.public_id])


class TaskNamingSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    url = serializers.CharField(source="get_absolute_url", help_text="its page")


class RunUsingSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    title = serializers.CharField()
    state = serializers.CharField()
    task = serializers.CharField(source="task.public_id")
    url = serializers.CharField(source="get_absolute_url", help_text="its page")


class UseSerializer(serializers.Serializer[Use]):
    """Who uses it: what I may see by name, the rest as a number."""

    tasks = TaskNamingSerializer(many=True, help_text="Tasks that name it, at most 50")
    other_tasks = serializers.IntegerField()
    runs = RunUsingSerializer(many=True, help_text="Runs that wait or run with it, at most 50")
    other_runs = serializers.IntegerField()


class DatasetDetailSerializer(DatasetSerializer):
    used_by = serializers.SerializerMethodField()

    @extend_schema_field(UseSerializer)
    def get_used_by(self, dataset: Dataset) -> Any:
        return UseSerializer(use_of(user=self.context["user"], dataset=dataset)).data


class DatasetRequestSerializer(Strict):
    name = Text(max_length=63, allow_blank=False, help_text="small letters, digits, - and _")
    description = Text(required=False, max_length=DESCRIPTION_LIMIT)
    for_everybody = Flag(required=False)
    path = Text(
        required=False,
        max_length=4000,
        help_text="Administrators: a folder that lies below the storage, to be registered in place.",
    )


class DatasetChangeSerializer(Strict):
    description = Text(required=False, max_length=DESCRIPTION_LIMIT)
    for_everybody = Flag(required=False)


class DatasetMemberSerializer(serializers.Serializer[DatasetMember]):
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name")
    role = serializers.ChoiceField(choices=DatasetRole.choices)
    added_at = moment()


class DatasetMemberRequestSerializer(Strict):
    role = serializers.ChoiceField(choices=DatasetRole.choices)


class DatasetView(ApiView):
    def datasets(self, *, binned: bool = False) -> QuerySet[Dataset]:
        """Those that this person may see, with what they may do there."""
        every = Dataset.objects.all()
        shown = every.in_the_bin_of(self.user) if binned else every.visible_to(self.user)
        own = DatasetMember.objects.filter(dataset=OuterRef("pk"), user_id=self.user.pk)
        return shown.select_related("owner").annotate(
            member_role=Subquery(own.values("role")[:1], output_field=CharField())
        )

    def dataset(self, *, also_binned: bool = False) -> Dataset:
        """The one that the address names, 404 if this person may not see it."""
        public_id = self.kwargs["dataset"]
        try:
            return existing(self.datasets(), public_id)
        except Http404:
            if not also_binned:
                raise
            return existing(self.datasets(binned=True), public_id)

    def answer(self, dataset: Dataset, status: HTTPStatus = HTTPStatus.OK) -> Response:
        body = DatasetDetailSerializer(dataset, context={"user": self.user}).data
        headers = None
        if status is HTTPStatus.CREATED:
            headers = {"Location": reverse("api-dataset", args=[dataset.public_id])}
        return Response(body, status, headers=headers)


class Datasets(ListAPIView[Dataset], DatasetView):
    serializer_class = DatasetSerializer
    scopes = needs(POST=Scope.FILES)

    def get_queryset(self) -> QuerySet[Dataset]:
        return self.datasets(binned=bool(self.choice("deleted")))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "user": self.request.user}

    @extend_schema(operation_id="list_datasets", parameters=[_DELETED])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Datasets that I may use."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_dataset",
        request=DatasetRequestSerializer,
        responses={201: DatasetDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make an empty Dataset, or register a folder that is on the storage already."""
        asked = DatasetRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        make: Callable[..., Dataset] = services.create_dataset
        if "path" in asked.validated_data:
            make = services.register_dataset
            if isinstance(request.auth, ApiToken):
                must_allow(request.auth, Scope.MANAGE)
        return self.answer(make(user=self.user, **asked.validated_data), HTTPStatus.CREATED)


class OneDataset(DatasetView):
    scopes = needs(PATCH=Scope.MANAGE, DELETE=Scope.MANAGE)

    @extend_schema(operation_id="dataset", responses=DatasetDetailSerializer)
    def get(self, request: Request, dataset: str) -> Response:
        """One Dataset, and who uses it. Its owner sees it in the bin, too."""
        return self.answer(self.dataset(also_binned=True))

    @extend_schema(
        operation_id="change_dataset",
        request=DatasetChangeSerializer,
        responses=DatasetDetailSerializer,
    )
    @transaction.atomic
    def patch(self, request: Request, dataset: str) -> Response:
        """Describe it, open it for everybody. Its name never changes."""
        found = self.dataset()
        asked = DatasetChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changes = asked.validated_data
        return self.answer(services.update_dataset(user=self.user, dataset=found, **changes))

    @extend_schema(operation_id="delete_dataset", request=None, responses={204: None})
    def delete(self, request: Request, dataset: str) -> Response:
        """Put it into the bin. Refused while Runs wait or run with it; can be restored for some days."""
        services.delete_dataset(user=self.user, dataset=self.dataset())
        return Response(status=HTTPStatus.NO_CONTENT)


class TransferDataset(DatasetView):
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(
        operation_id="transfer_dataset",
        request=TransferSerializer,
        responses=DatasetDetailSerializer,
    )
    def post(self, request: Request, dataset: str) -> Response:
        """Give it to another owner, who is asked for nothing. I stay in it as an editor."""
        found = self.dataset()
        services.must_manage_dataset(self.user, found)
        asked = TransferSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = services.person_named(asked.validated_data["to"], field="to")
        services.transfer_dataset(user=self.user, dataset=found, person=person)
        return self.answer(self.dataset())


class RestoreDataset(DatasetView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(operation_id="restore_dataset", request=None, responses=DatasetDetailSerializer)
    def post(self, request: Request, dataset: str) -> Response:
        """Take it out of the bin, as it was. One that isn't in it stays as it is."""
        found = self.dataset(also_binned=True)
        return self.answer(services.restore_dataset(user=self.user, dataset=found))


class PurgeDataset(DatasetView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)

    @extend_schema(operation_id="purge_dataset", request=None, responses={202: None})
    def post(self, request: Request, dataset: str) -> Response:
        """Remove one that is in the bin for good, now, with all its files (a folder that was registered
        in place stays). There is no way back."""
        found = existing(self.datasets(binned=True), dataset)
        services.purge_dataset(user=self.user, dataset=found)
        return Response(status=HTTPStatus.ACCEPTED)


class DatasetMembers(ListAPIView[DatasetMember], DatasetView):
    serializer_class = DatasetMemberSerializer
    pagination_class = OnePage

    def get_queryset(self) -> QuerySet[DatasetMember]:
        found = self.dataset()
        if not found.members.filter(user=self.user).exists():
            services.must_manage_dataset(self.user, found)
        return found.members.select_related("user")

    @extend_schema(operation_id="list_dataset_members")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The members, which they see themselves, too. The owner is none of them."""
        return super().get(request, *args, **kwargs)


class DatasetOneMember(DatasetView):
    scopes = needs(PUT=Scope.MANAGE, DELETE=Scope.MANAGE)

    @extend_schema(
        operation_id="share_dataset",
        request=DatasetMemberRequestSerializer,
        responses=DatasetMemberSerializer,
    )
    def put(self, request: Request, dataset: str, username: str) -> Response:
        """Let somebody use it, or change what they may do. Only the owner can."""
        found = self.dataset()
        services.must_manage_dataset(self.user, found)
        asked = DatasetMemberRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = services.person_named(username)
        member = services.share_dataset(
            user=self.user, dataset=found, person=person, role=asked.validated_data["role"]
        )
        return Response(DatasetMemberSerializer(member).data)

    @extend_schema(operation_id="unshare_dataset", request=None, responses={204: None})
    def delete(self, request: Request, dataset: str, username: str) -> Response:
        """Take it back from a member; or, with my own name, leave it."""
        found = self.dataset()
        may = partial(services.must_manage_dataset, self.user, found)
        person = leaving(self.user, username, found.members, may)
        services.unshare_dataset(user=self.user, dataset=found, person=person)
        return Response(status=HTTPStatus.NO_CONTENT)
