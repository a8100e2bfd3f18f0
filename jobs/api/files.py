"""The files of a Task: list, download, upload, rename, move, remove."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from files import storage
from files.safe import MAX_ENTRIES
from jobs import services
from jobs.api.base import needs
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
from jobs.models import Task

_AREA = OpenApiParameter("area", str, OpenApiParameter.PATH, enum=list(storage.AREAS))


class FolderSerializer(serializers.Serializer[Any]):
    area = serializers.CharField()
    path = serializers.CharField()
    entries = EntrySerializer(many=True)
    truncated = serializers.BooleanField(help_text=f"more than {MAX_ENTRIES} entries, not all here")


class MoveSerializer(Strict):
    path = Text(
        required=False,
        allow_blank=False,
        help_text="the new path within the area, the name included; folders above it are made",
    )
    area = serializers.ChoiceField(
        choices=storage.AREAS, required=False, help_text="another area of the same Task"
    )
    replace = Flag(required=False, help_text="true: a file may take the place of a file there")


class TaskFilesView(FilesView):
    def area(self, task: str, name: str) -> Shelf:
        """An area of a Task that this person may see, or change if that is what is asked."""
        found = self.task(task)
        if self.request.method not in SAFE_METHODS:
            services.must_edit(self.user, found)
            self.changes = found
        return _shelf(found, name)


def _shelf(task: Task, area: str) -> Shelf:
    return Shelf(
        folder=storage.area(task.public_id, area),
        base=reverse("api-area", args=[task.public_id, area]),
        owner=task.owner,
        grew=partial(services.files_grew, task),
        name=area,
        zip_name=f"{task.name} {area}",
        area=area,
    )


class Area(TaskFilesView):
    scopes = needs(POST=Scope.FILES)

    @extend_schema(
        operation_id="list_area",
        parameters=[_AREA, ZIP, ONLY],
        responses={
            (200, "application/json"): FolderSerializer,
            (200, "application/zip"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, task: str, area: str) -> HttpResponseBase:
        """What lies in code, input or output, or all of it as a zip."""
        return self.show_folder(self.area(task, area), "")

    @extend_schema(
        operation_id="create_folder_in_area",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str) -> Response:
        """Make a folder."""
        return self.make_folder(self.area(task, area), "")


class File(TaskFilesView):
    scopes = needs(PUT=Scope.FILES, PATCH=Scope.FILES, POST=Scope.FILES, DELETE=Scope.FILES)

    @extend_schema(
        operation_id="download_file",
        parameters=[_AREA, INLINE, ZIP, ONLY],
        responses=download_answers(FolderSerializer),
    )
    def get(self, request: Request, task: str, area: str, path: str) -> HttpResponseBase:
        """The content of a file (single Ranges work), or what a folder holds, or that as a zip."""
        return self.show(self.area(task, area), path)

    @extend_schema(
        operation_id="upload_file",
        parameters=[_AREA, IF_MATCH, IF_NONE_MATCH],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: EntrySerializer, 201: EntrySerializer, 412: None, 507: None},
    )
    def put(self, request: Request, task: str, area: str, path: str) -> Response:
        """Upload a file: the request's body as it is. Folders above it are made; a file that is
        there is replaced at once when all has arrived. The answer's ETag, sent back as If-Match,
        saves the next change only over this one: otherwise the answer is 412."""
        return self.receive(self.area(task, area), path)

    @extend_schema(
        operation_id="move_file",
        parameters=[_AREA],
        request=MoveSerializer,
        responses={200: EntrySerializer},
    )
    def patch(self, request: Request, task: str, area: str, path: str) -> Response:
        """Rename or move a file or folder: what stays the same may be left out. Nothing is
        replaced unless asked for: otherwise the answer is 409."""
        asked = MoveSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given, path, shelf = asked.validated_data, path.rstrip("/"), self.area(task, area)
        other = given.get("area", area)
        return self.move(
            shelf,
            path,
            given.get("path", path),
            to=shelf if other == area else self.area(task, other),
            replace=given.get("replace", False),
        )

    @extend_schema(
        operation_id="remove_file",
        parameters=[_AREA, IF_THAT_ONE, IF_UNMODIFIED_SINCE],
        request=None,
        responses={204: None, 412: None},
    )
    def delete(self, request: Request, task: str, area: str, path: str) -> Response:
        """Remove a file, or a folder with all that it holds. The ETag of a file that was seen, as
        If-Match, or the time when a folder was, as If-Unmodified-Since, keeps what others changed
        meanwhile: the answer is then 412."""
        return self.remove(self.area(task, area), path)

    @extend_schema(
        operation_id="create_folder",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str, path: str) -> Response:
        """Make a folder in a folder."""
        return self.make_folder(self.area(task, area), path.rstrip("/"))
