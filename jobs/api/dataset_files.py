"""The files of a Dataset: as those of a Task (files.py), with other rights and no areas."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from files import datasets as folders
from files.safe import MAX_ENTRIES
from jobs import services
from jobs.api.base import needs
from jobs.api.datasets import DatasetView
from jobs.api.fields import Flag, Strict, Text
from jobs.api.file_views import (
    IF_MATCH,
    IF_NONE_MATCH,
    IF_THAT_ONE,
    IF_UNMODIFIED_SINCE,
    INLINE,
    ONLY,
    ZIP,
    EntrySerializer,
    FilesView,
    NewFolderSerializer,
    Shelf,
    download_answers,
)


class DatasetFolderSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    entries = EntrySerializer(many=True)
    truncated = serializers.BooleanField(help_text=f"more than {MAX_ENTRIES} entries, not all here")


class DatasetMoveSerializer(Strict):
    path = Text(
        allow_blank=False,
        help_text="the new path within the Dataset, the name included; folders above it are made",
    )
    replace = Flag(required=False, help_text="true: a file may take the place of a file there")


class DatasetFilesView(DatasetView, FilesView):
    def shelf(self) -> Shelf:
        """The folder of a Dataset that this person may see, or change if that is what is asked."""
        found = self.dataset()
        if self.request.method not in SAFE_METHODS:
            services.must_change_files(self.user, found)
            self.changes = found

        def grew(count: int) -> None:
            services.files_changed(found, grew=count)

        return Shelf(
            folder=folders.folder_of(found),
            base=reverse("api-dataset-files", args=[found.public_id]),
            owner=found.owner,
            grew=grew,
            name=found.name,
            zip_name=found.name,
        )


class DatasetFiles(DatasetFilesView):
    scopes = needs(POST=Scope.FILES)

    @extend_schema(
        operation_id="list_dataset_files",
        parameters=[ZIP, ONLY],
        responses={
            (200, "application/json"): DatasetFolderSerializer,
            (200, "application/zip"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, dataset: str) -> HttpResponseBase:
        """What lies in the Dataset, or all of it as a zip."""
        return self.show_folder(self.shelf(), "")

    @extend_schema(
        operation_id="create_folder_in_dataset",
        request=NewFolderSerializer,
        responses={201: EntrySerializer, 507: None},
    )
    def post(self, request: Request, dataset: str) -> Response:
        """Make a folder."""
        return self.make_folder(self.shelf(), "")


class DatasetFile(DatasetFilesView):
    scopes = needs(PUT=Scope.FILES, PATCH=Scope.FILES, POST=Scope.FILES, DELETE=Scope.FILES)

    @extend_schema(
        operation_id="download_dataset_file",
        parameters=[INLINE, ZIP, ONLY],
        responses=download_answers(DatasetFolderSerializer),
    )
    def get(self, request: Request, dataset: str, path: str) -> HttpResponseBase:
        """The content of a file (single Ranges work), or what a folder holds, or that as a zip."""
        return self.show(self.shelf(), path)

    @extend_schema(
        operation_id="upload_dataset_file",
        parameters=[IF_MATCH, IF_NONE_MATCH],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: EntrySerializer, 201: EntrySerializer, 412: None, 507: None},
    )
    def put(self, request: Request, dataset: str, path: str) -> Response:
        """Upload a file: the request's body as it is. Folders above it are made; a file that is
        there is replaced at once when all has arrived."""
        return self.receive(self.shelf(), path)

    @extend_schema(
        operation_id="move_dataset_file",
        request=DatasetMoveSerializer,
        responses={200: EntrySerializer, 409: None, 507: None},
    )
    def patch(self, request: Request, dataset: str, path: str) -> Response:
        """Rename or move a file or folder. Nothing is replaced unless asked for."""
        asked = DatasetMoveSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given, shelf = asked.validated_data, self.shelf()
        replace = given.get("replace", False)
        return self.move(shelf, path.rstrip("/"), given["path"], to=shelf, replace=replace)

    @extend_schema(
        operation_id="remove_dataset_file",
        parameters=[IF_THAT_ONE, IF_UNMODIFIED_SINCE],
        request=None,
        responses={204: None, 409: None, 412: None},
    )
    def delete(self, request: Request, dataset: str, path: str) -> Response:
        """Remove a file, or a folder with all that it holds; with If-Match or If-Unmodified-Since
        only if nobody changed it meanwhile: otherwise the answer is 412."""
        return self.remove(self.shelf(), path)

    @extend_schema(
        operation_id="create_folder_in_dataset_folder",
        request=NewFolderSerializer,
        responses={201: EntrySerializer, 507: None},
    )
    def post(self, request: Request, dataset: str, path: str) -> Response:
        """Make a folder in a folder."""
        return self.make_folder(self.shelf(), path.rstrip("/"))
