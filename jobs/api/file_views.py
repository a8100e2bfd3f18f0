"""What the files of Tasks (files.py) and of Datasets (dataset_files.py) have in common."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import parse_http_date_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from files import archive, serving
from files.conditions import Changed, condition, etag_of
from files.entries import entry_of
from files.models import Dataset
from files.safe import MAX_ENTRIES, Entry, FileTooLarge, SafeFolder
from jobs import services
from jobs.api.base import ApiView
from jobs.api.fields import Strict, Text
from jobs.api.problems import Problem, file_problems, full_disk
from jobs.api.serializers import moment
from jobs.models import Task

CHUNK = 1024**2
"""bytes of an upload in memory at a time"""
REMOVE_SECONDS = 1.0
"""that a person waits for the removal of a folder, which is out of sight at once"""
HEADROOM = 64 * 1024**2
"""bytes that an upload leaves free: a full disk also stops Run logs"""

ZIP = OpenApiParameter(
    "zip", bool, description="1: the folder as a zip file, made while it is sent."
)
ONLY = OpenApiParameter(
    "only",
    str,
    many=True,
    description="With zip: a name in the folder; only those that are named are in the zip.",
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='Write only over the file with this ETag ("*": any file).',
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description='"*": write only if there is none.'
)
IF_THAT_ONE = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Remove only the file with this ETag."
)
IF_UNMODIFIED_SINCE = OpenApiParameter(
    "If-Unmodified-Since",
    str,
    OpenApiParameter.HEADER,
    description="An HTTP date: remove only if nothing in it was written since.",
)
INLINE = OpenApiParameter(
    "inline", bool, description="1: a browser shows plain text and raster images instead of saving."
)


def download_answers(folder: type[serializers.Serializer[Any]]) -> dict[Any, Any]:
    """For the schema: a file by its kind, a folder as JSON of that shape, either as a zip."""
    return {
        (200, "application/octet-stream"): OpenApiTypes.BINARY,
        (200, "text/plain"): OpenApiTypes.BINARY,
        (200, "image/*"): OpenApiTypes.BINARY,
        (200, "application/pdf"): OpenApiTypes.BINARY,
        (200, "application/json"): folder,
        (200, "application/zip"): OpenApiTypes.BINARY,
        (206, "application/octet-stream"): OpenApiTypes.BINARY,
        304: OpenApiResponse(description="The ETag of If-None-Match is still the file's."),
        416: OpenApiResponse(description="The range lies beyond the file's end."),
    }


class EntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    path = serializers.CharField(help_text="within the area, or within the Dataset")
    kind = serializers.CharField(help_text='"file", "folder", or "other": a link or device')
    size = serializers.IntegerField(help_text="bytes")
    modified_at = moment()
    etag = serializers.CharField(allow_null=True, help_text="of a file, for If-Match; else null")
    url = serializers.CharField()


class NewFolderSerializer(Strict):
    folder = Text(help_text="name of the new folder", allow_blank=False)


class AnyAccept(DefaultContentNegotiation):
    """A download is what it is, whatever an <img> or `curl -H Accept:` says it would like."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


@dataclass(frozen=True)
class Shelf:
    """A folder of files that this request may use, and what answers say of it."""

    folder: SafeFolder
    base: str
    """its address, without a slash at the end"""
    owner: User
    """whose storage its files fill"""
    grew: Callable[[int], None]
    """told of so many bytes more, or fewer; of 0: some were removed, nobody counted how many"""
    name: str
    """in sentences"""
    zip_name: str
    """of a zip of everything"""
    area: str | None = None
    """of a Task"""


class FilesView(ApiView):
    content_negotiation_class = AnyAccept
    changes: Task | Dataset | None = None
    """whose files this request may change, once that is known"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        for name in ("zip", "inline"):  # wrong ones are refused also where they change nothing
            self.flag(name)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        if self.changes is not None and response.status_code < HTTPStatus.BAD_REQUEST:
            where = "/".join(filter(None, (self.kwargs.get("area"), self.kwargs.get("path"))))
            services.note_files_changed(
                self.user, self.changes, f"{request.method} {where}".strip()
            )
        return super().finalize_response(request, response, *args, **kwargs)

    def show_folder(self, shelf: Shelf, path: str) -> HttpResponseBase:
        """What lies in a folder, or all of it as a zip."""
        with file_problems(path or shelf.name):
            if self.flag("zip"):
                top = path.rpartition("/")[2] or shelf.zip_name
                return archive.respond(
                    self.request._request,
                    shelf.folder,
                    path,
                    top=top.replace("/", "_"),
                    only=self.request.query_params.getlist("only"),
                    person=self.user.pk,
                )
            entries = shelf.folder.entries(path, limit=MAX_ENTRIES + 1)
        return Response(
            {
                **({} if shelf.area is None else {"area": shelf.area}),
                "path": path,
                "entries": [shown(shelf, entry) for entry in entries[:MAX_ENTRIES]],
                "truncated": len(entries) > MAX_ENTRIES,
            }
        )

    def show(self, shelf: Shelf, path: str) -> HttpResponseBase:
        """The content of a file, or show_folder()."""
        with file_problems(path):
            if path.endswith("/") or shelf.folder.entry(path).kind == "folder":
                return self.show_folder(shelf, path.rstrip("/"))
            inline = self.flag("inline")
            return serving.respond(self.request._request, shelf.folder, path, inline=inline)

    def make_folder(self, shelf: Shelf, above: str) -> Response:
        asked = NewFolderSerializer(data=self.request.data)
        asked.is_valid(raise_exception=True)
        name = asked.validated_data["folder"]
        path = f"{above}/{name}" if above else name
        with file_problems(path):
            shelf.folder.make_folder(path)
            return made(shelf, shelf.folder.entry(path), new=True)

    def receive(self, shelf: Shelf, path: str) -> Response:
        """The body becomes a file."""
        request, folder = self.request._request, shelf.folder
        check_room(request, folder)
        with file_problems(path):
            before = _size_of(folder, path)
        self._check_quota(shelf, before)
        headers = self.request.headers
        unchanged = condition(headers.get("If-Match", ""), headers.get("If-None-Match", ""))
        with file_problems(path):
            new = not _exists(folder, path)
            try:
                with self._counted(shelf) as grows:
                    written = folder.put(
                        path,
                        _chunks(request),
                        limit=settings.RCLUSTER_UPLOAD_LIMIT,
                        condition=unchanged,
                        grows=grows,
                    )
            except Changed as changed:
                raise Problem(HTTPStatus.PRECONDITION_FAILED, str(changed)) from None
            name = path.rpartition("/")[2]
            response = made(shelf, entry_of(name, path, written), new=new)
        response["ETag"] = etag_of(written)
        return response

    def move(
        self, shelf: Shelf, path: str, target: str, *, to: Shelf, replace: bool = False
    ) -> Response:
        with file_problems(path):
            shelf.folder.entry(path)
        with file_problems(target):
            shelf.folder.move(path, target, to=to.folder, replace=replace)
            # What was replaced is gone.
            shelf.grew(0)
            return Response(shown(to, to.folder.entry(target)))

    def remove(self, shelf: Shelf, path: str) -> Response:
        headers = self.request.headers
        with file_problems(path):
            try:
                left = shelf.folder.remove(
                    path.rstrip("/"),
                    condition=condition(headers["If-Match"], "") if "If-Match" in headers else None,
                    since=parse_http_date_safe(headers.get("If-Unmodified-Since", "")),
                    seconds=REMOVE_SECONDS,
                )
            except Changed as changed:
                raise Problem(HTTPStatus.PRECONDITION_FAILED, str(changed)) from None
        if left:
            services.clear_later(shelf.folder.path / left)
        shelf.grew(0)
        return Response(status=HTTPStatus.NO_CONTENT)

    def _check_quota(self, shelf: Shelf, before: int) -> None:
        """Refuse now what would be more than the owner may fill. `before`: bytes that it replaces."""
        more = int(self.request.META.get("CONTENT_LENGTH") or 0) - before
        if more < 0:
            return
        try:
            services.refuse_beyond_quota(shelf.owner, more, asked_by=self.user)
        except services.Refused as refused:
            raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, str(refused)) from None

    @contextlib.contextmanager
    def _counted(self, shelf: Shelf) -> Iterator[Callable[[int], None]]:
        """For SafeFolder.put: counts the bytes that have arrived, then looks whether they are too
        many. In this order, or of uploads side by side each would find the room that is there for
        one; and only now, or one that does not announce its length would find no limit at all."""
        counted = 0

        def grows(count: int) -> None:
            nonlocal counted
            shelf.grew(count)
            counted = count
            if count > 0:
                try:
                    services.refuse_if_over_quota(shelf.owner, asked_by=self.user)
                except services.Refused as refused:
                    raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, str(refused)) from None

        try:
            yield grows
        except BaseException:
            if counted:
                shelf.grew(-counted)
            raise


def shown(shelf: Shelf, entry: Entry) -> dict[str, Any]:
    slash = "/" if entry.kind == "folder" else ""
    return {
        "name": entry.name,
        "path": entry.path,
        "kind": entry.kind,
        "size": entry.size,
        "modified_at": entry.modified_at.isoformat().replace("+00:00", "Z"),
        "etag": entry.etag,
        "url": f"{shelf.base}/{quote(entry.path)}{slash}",
    }


def made(shelf: Shelf, entry: Entry, *, new: bool) -> Response:
    body = shown(shelf, entry)
    if not new:
        return Response(body)
    return Response(body, status=HTTPStatus.CREATED, headers={"Location": body["url"]})


def check_room(request: HttpRequest, folder: SafeFolder) -> None:
    """Refuse now what would be refused after hours of sending. Raises Problem or FileTooLarge."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > settings.RCLUSTER_UPLOAD_LIMIT:
        raise FileTooLarge(settings.RCLUSTER_UPLOAD_LIMIT)
    try:
        disk = os.statvfs(folder.path)
    except FileNotFoundError:
        raise Problem(
            HTTPStatus.NOT_FOUND, "The folder of these files is missing: tell your administrator."
        ) from None
    if length + HEADROOM > disk.f_bavail * disk.f_frsize:
        raise full_disk()


def _size_of(folder: SafeFolder, path: str) -> int:
    """Bytes of the file; 0 if there is none."""
    try:
        return folder.entry(path).size
    except FileNotFoundError:
        return 0


def _exists(folder: SafeFolder, path: str) -> bool:
    try:
        folder.entry(path)
    except FileNotFoundError:
        return False
    return True


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk
