"""The files of a Task: list, download, upload, rename, move, remove."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, User
from files import archive, serving, storage
from files.conditions import Changed, condition, etag_of
from files.entries import entry_of
from files.safe import MAX_ENTRIES, Entry, FileTooLarge, SafeFolder
from jobs import services
from jobs.api.base import ApiView, needs
from jobs.api.fields import Flag, Strict, Text
from jobs.api.problems import Problem, file_problems, full_disk
from jobs.api.serializers import moment

CHUNK = 1024**2
"""bytes of an upload in memory at a time"""
HEADROOM = 64 * 1024**2
"""bytes that an upload leaves free: a full disk also stops Run logs"""

_AREA = OpenApiParameter("area", str, OpenApiParameter.PATH, enum=list(storage.AREAS))
_ZIP = OpenApiParameter(
    "zip", bool, description="1: the folder as a zip file, made while it is sent."
)
_ONLY = OpenApiParameter(
    "only",
    str,
    many=True,
    description="With zip: a name in the folder; only those that are named are in the zip.",
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='Write only over the file with this ETag ("*": any file).',
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description='"*": write only if there is none.'
)
_INLINE = OpenApiParameter(
    "inline", bool, description="1: a browser shows plain text and raster images instead of saving."
)


class EntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    path = serializers.CharField(help_text="within the area")
    kind = serializers.CharField(help_text='"file", "folder", or "other": a link or device')
    size = serializers.IntegerField(help_text="bytes")
    modified_at = moment()
    url = serializers.CharField()


class FolderSerializer(serializers.Serializer[Any]):
    area = serializers.CharField()
    path = serializers.CharField()
    entries = EntrySerializer(many=True)
    truncated = serializers.BooleanField(help_text=f"more than {MAX_ENTRIES} entries, not all here")


class NewFolderSerializer(Strict):
    folder = Text(help_text="name of the new folder", allow_blank=False)


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


class AnyAccept(DefaultContentNegotiation):
    """A download is what it is, whatever an <img> or `curl -H Accept:` says it would like."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class FilesView(ApiView):
    content_negotiation_class = AnyAccept

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        for name in ("zip", "inline"):  # wrong ones are refused also where they change nothing
            self.flag(name)

    def folder(self) -> SafeFolder:
        """The area that the address names, in a Task that this person may see."""
        task = self.task(self.kwargs["task"])
        if self.request.method not in SAFE_METHODS:
            services.must_edit(self.user, task)
        self.found = task
        self.base = reverse("api-area", args=[task.public_id, self.kwargs["area"]])
        return storage.area(task.public_id, self.kwargs["area"])

    def zip(self, request: Request, folder: SafeFolder, path: str) -> HttpResponseBase | None:
        """The folder as a zip, if that is what the address asks for."""
        if not self.flag("zip"):
            return None
        top = path.rpartition("/")[2] or self.whole_name()
        with file_problems(path or self.kwargs["area"]):
            return archive.respond(
                request._request,
                folder,
                path,
                top=top.replace("/", "_"),
                only=request.query_params.getlist("only"),
            )

    def whole_name(self) -> str:
        """What a zip of everything is called."""
        return f"{self.found.name} {self.kwargs['area']}"

    def owner(self) -> User:
        """Whose storage these files fill."""
        return self.found.owner

    def grew(self, count: int) -> None:
        """So many bytes more, or fewer; 0: some were removed, nobody counted how many."""
        services.files_grew(self.found, count)

    def check_quota(self, request: HttpRequest, before: int) -> None:
        """Refuse now what would be more than the owner may fill. `before`: bytes that it replaces."""
        more = int(request.META.get("CONTENT_LENGTH") or 0) - before
        if more < 0:
            return
        try:
            services.refuse_beyond_quota(self.owner(), more, asked_by=self.user)
        except services.Refused as refused:
            raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, str(refused)) from None

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[int], None]]:
        """For SafeFolder.put: counts the bytes that have arrived, then looks whether they are too
        many. In this order, or of uploads side by side each would find the room that is there for
        one; and only now, or one that does not announce its length would find no limit at all."""
        counted = 0

        def grows(count: int) -> None:
            nonlocal counted
            self.grew(count)
            counted = count
            if count > 0:
                try:
                    services.refuse_if_over_quota(self.owner(), asked_by=self.user)
                except services.Refused as refused:
                    raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, str(refused)) from None

        try:
            yield grows
        except BaseException:
            if counted:
                self.grew(-counted)
            raise

    def listing(self, path: str) -> Response:
        folder = self.folder()
        with file_problems(path or self.kwargs["area"]):
            entries = folder.entries(path, limit=MAX_ENTRIES + 1)
        return Response(
            {
                "area": self.kwargs["area"],
                "path": path,
                "entries": [self.shown(entry) for entry in entries[:MAX_ENTRIES]],
                "truncated": len(entries) > MAX_ENTRIES,
            }
        )

    def made(self, entry: Entry, *, new: bool) -> Response:
        shown = self.shown(entry)
        if not new:
            return Response(shown)
        return Response(shown, status=HTTPStatus.CREATED, headers={"Location": shown["url"]})

    def shown(self, entry: Entry) -> dict[str, Any]:
        slash = "/" if entry.kind == "folder" else ""
        return {
            "name": entry.name,
            "path": entry.path,
            "kind": entry.kind,
            "size": entry.size,
            "modified_at": entry.modified_at.isoformat().replace("+00:00", "Z"),
            "url": f"{self.base}/{quote(entry.path)}{slash}",
        }

    def new_folder(self, request: Request, above: str) -> Response:
        asked = NewFolderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        path = (
            f"{above}/{asked.validated_data['folder']}" if above else asked.validated_data["folder"]
        )
        folder = self.folder()
        with file_problems(path):
            folder.make_folder(path)
            return self.made(folder.entry(path), new=True)


class Area(FilesView):
    scopes = needs(POST=Scope.FILES)

    @extend_schema(
        operation_id="list_area",
        parameters=[_AREA, _ZIP, _ONLY],
        responses={
            (200, "application/json"): FolderSerializer,
            (200, "application/zip"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, task: str, area: str) -> HttpResponseBase:
        """What lies in code, input or output, or all of it as a zip."""
        return self.zip(request, self.folder(), "") or self.listing("")

    @extend_schema(
        operation_id="create_folder_in_area",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str) -> Response:
        """Make a folder."""
        return self.new_folder(request, "")


class File(FilesView):
    scopes = needs(PUT=Scope.FILES, PATCH=Scope.FILES, POST=Scope.FILES, DELETE=Scope.FILES)

    @extend_schema(
        operation_id="download_file",
        parameters=[_AREA, _INLINE, _ZIP, _ONLY],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (200, "text/plain"): OpenApiTypes.BINARY,
            (200, "image/*"): OpenApiTypes.BINARY,
            (200, "application/pdf"): OpenApiTypes.BINARY,
            (200, "application/json"): FolderSerializer,
            (200, "application/zip"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="The ETag of If-None-Match is still the file's."),
            416: OpenApiResponse(description="The range lies beyond the file's end."),
        },
    )
    def get(self, request: Request, task: str, area: str, path: str) -> HttpResponseBase:
        """The content of a file (single Ranges work), or what a folder holds, or that as a zip."""
        folder = self.folder()
        with file_problems(path):
            if path.endswith("/") or folder.entry(path).kind == "folder":
                path = path.rstrip("/")
                return self.zip(request, folder, path) or self.listing(path)
            inline = self.flag("inline")
            return serving.respond(request._request, folder, path, inline=inline)

    @extend_schema(
        operation_id="upload_file",
        parameters=[_AREA, _IF_MATCH, _IF_NONE_MATCH],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: EntrySerializer, 201: EntrySerializer, 412: None, 507: None},
    )
    def put(self, request: Request, task: str, area: str, path: str) -> Response:
        """Upload a file: the request's body as it is. Folders above it are made; a file that is
        there is replaced at once when all has arrived. The answer's ETag, sent back as If-Match,
        saves the next change only over this one: otherwise the answer is 412."""
        folder = self.folder()
        check_room(request._request, folder)
        with file_problems(path):
            before = size_of(folder, path)
        self.check_quota(request._request, before)
        unchanged = condition(
            request.headers.get("If-Match", ""), request.headers.get("If-None-Match", "")
        )
        with file_problems(path):
            new = not exists(folder, path)
            try:
                with self.counted() as grows:
                    written = folder.put(
                        path,
                        _chunks(request._request),
                        limit=settings.RCLUSTER_UPLOAD_LIMIT,
                        condition=unchanged,
                        grows=grows,
                    )
            except Changed as changed:
                raise Problem(HTTPStatus.PRECONDITION_FAILED, str(changed)) from None
            name = path.rpartition("/")[2]
            response = self.made(entry_of(name, path, written), new=new)
        response["ETag"] = etag_of(written)
        return response

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
        folder = self.folder()
        path = path.rstrip("/")
        target = asked.validated_data.get("path", path)
        into = storage.area(self.found.public_id, asked.validated_data.get("area", area))
        with file_problems(path):
            folder.entry(path)
        with file_problems(target):
            replace = asked.validated_data.get("replace", False)
            folder.move(path, target, to=into, replace=replace)
            self.kwargs["area"] = into.path.name
            self.base = reverse("api-area", args=[self.found.public_id, into.path.name])
            return Response(self.shown(into.entry(target)))

    @extend_schema(
        operation_id="remove_file", parameters=[_AREA], request=None, responses={204: None}
    )
    def delete(self, request: Request, task: str, area: str, path: str) -> Response:
        """Remove a file, or a folder with all that it holds."""
        folder = self.folder()
        with file_problems(path):
            folder.remove(path.rstrip("/"))
        self.grew(0)
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(
        operation_id="create_folder",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str, path: str) -> Response:
        """Make a folder in a folder."""
        return self.new_folder(request, path.rstrip("/"))


def check_room(request: HttpRequest, folder: SafeFolder) -> None:
    """Refuse now what would be refused after hours of sending. Raises Problem or FileTooLarge."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > settings.RCLUSTER_UPLOAD_LIMIT:
        raise FileTooLarge(settings.RCLUSTER_UPLOAD_LIMIT)
    try:
        disk = os.statvfs(folder.path)
    except FileNotFoundError:
        raise Problem(
            HTTPStatus.NOT_FOUND, "This Task's folder is missing: tell your administrator."
        ) from None
    if length + HEADROOM > disk.f_bavail * disk.f_frsize:
        raise full_disk()


def size_of(folder: SafeFolder, path: str) -> int:
    """Bytes of the file; 0 if there is none."""
    try:
        return folder.entry(path).size
    except FileNotFoundError:
        return 0


def exists(folder: SafeFolder, path: str) -> bool:
    try:
        folder.entry(path)
    except FileNotFoundError:
        return False
    return True


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk
