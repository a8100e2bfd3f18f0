"""The files of a Dataset: as those of a Task (files.py), with other rights and no areas."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, User
from files import datasets as folders
from files.safe import MAX_ENTRIES, SafeFolder
from jobs import services
from jobs.api.base import needs
from jobs.api.datasets import DatasetView
from jobs.api.fields import Flag, Strict, Text
from jobs.api.files import Area, EntrySerializer, File, FilesView, NewFolderSerializer
from jobs.api.problems import file_problems

_BINARY = OpenApiTypes.BINARY
_INLINE = OpenApiParameter("inline", bool, description="1: a browser shows text and images.")
_ZIP = OpenApiParameter("zip", bool, description="1: the folder as a zip file.")
_ONLY = OpenApiParameter("only", str, many=True, description="With zip: only these names.")
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Write only over the file with this ETag."
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description='"*": write only if there is none.'
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
    def folder(self) -> SafeFolder:
        """The folder of a Dataset that this person may see, or change if that is what is asked."""
        found = self.dataset()
        if self.request.method not in SAFE_METHODS:
            services.must_change_files(self.user, found)
        self.used = found
        self.base = reverse("api-dataset-files", args=[found.public_id])
        # Where a Task's files say which area.
        self.kwargs["area"] = found.name
        return folders.folder_of(found)

    def owner(self) -> User:
        return self.used.owner

    def grew(self, count: int) -> None:
        services.files_changed(self.used, grew=count)

    def listing(self, path: str) -> Response:
        response = super().listing(path)
        del response.data["area"]
        return response

    def whole_name(self) -> str:
        return self.used.name


class DatasetFiles(DatasetFilesView, Area):
    scopes = needs(POST=Scope.FILES)

    @extend_schema(
        operation_id="list_dataset_files",
        parameters=[_ZIP, _ONLY],
        responses={
            (200, "application/json"): DatasetFolderSerializer,
            (200, "application/zip"): _BINARY,
        },
    )
    def get(self, request: Request, dataset: str) -> HttpResponseBase:  # type: ignore[override]
        """What lies in the Dataset, or all of it as a zip."""
        return super().get(request, task="", area="")

    @extend_schema(
        operation_id="create_folder_in_dataset",
        request=NewFolderSerializer,
        responses={201: EntrySerializer, 507: None},
    )
    def post(self, request: Request, dataset: str) -> Response:  # type: ignore[override]
        """Make a folder."""
        return super().post(request, task="", area="")


class DatasetFile(DatasetFilesView, File):
    scopes = needs(PUT=Scope.FILES, PATCH=Scope.FILES, POST=Scope.FILES, DELETE=Scope.FILES)

    @extend_schema(
        operation_id="download_dataset_file",
        parameters=[_INLINE, _ZIP, _ONLY],
        responses={
            (200, "application/octet-stream"): _BINARY,
            (200, "text/plain"): _BINARY,
            (200, "image/*"): _BINARY,
            (200, "application/pdf"): _BINARY,
            (200, "application/json"): DatasetFolderSerializer,
            (200, "application/zip"): _BINARY,
            (206, "application/octet-stream"): _BINARY,
            304: OpenApiResponse(description="The ETag of If-None-Match is still the file's."),
            416: OpenApiResponse(description="The range lies beyond the file's end."),
        },
    )
    def get(self, request: Request, dataset: str, path: str) -> HttpResponseBase:  # type: ignore[override]
        """The content of a file (single Ranges work), or what a folder holds, or that as a zip."""
        return super().get(request, task="", area="", path=path)

    @extend_schema(
        operation_id="upload_dataset_file",
        parameters=[_IF_MATCH, _IF_NONE_MATCH],
        request={"application/octet-stream": _BINARY},
        responses={200: EntrySerializer, 201: EntrySerializer, 412: None, 507: None},
    )
    def put(self, request: Request, dataset: str, path: str) -> Response:  # type: ignore[override]
        """Upload a file: the request's body as it is. Folders above it are made; a file that is
        there is replaced at once when all has arrived."""
        return super().put(request, task="", area="", path=path)

    @extend_schema(
        operation_id="move_dataset_file",
        request=DatasetMoveSerializer,
        responses={200: EntrySerializer, 409: None, 507: None},
    )
    def patch(self, request: Request, dataset: str, path: str) -> Response:  # type: ignore[override]
        """Rename or move a file or folder. Nothing is replaced unless asked for."""
        asked = DatasetMoveSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        folder, path = self.folder(), path.rstrip("/")
        target = asked.validated_data["path"]
        with file_problems(path):
            folder.entry(path)
        with file_problems(target):
            folder.move(path, target, replace=asked.validated_data.get("replace", False))
            self.grew(0)
            return Response(self.shown(folder.entry(target)))

    @extend_schema(
        operation_id="remove_dataset_file", request=None, responses={204: None, 409: None}
    )
    def delete(self, request: Request, dataset: str, path: str) -> Response:  # type: ignore[override]
        """Remove a file, or a folder with all that it holds."""
        return super().delete(request, task="", area="", path=path)

    @extend_schema(
        operation_id="create_folder_in_dataset_folder",
        request=NewFolderSerializer,
        responses={201: EntrySerializer, 507: None},
    )
    def post(self, request: Request, dataset: str, path: str) -> Response:  # type: ignore[override]
        """Make a folder in a folder."""
        return super().post(request, task="", area="", path=path)
