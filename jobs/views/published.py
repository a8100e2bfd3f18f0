"""/o/<published id>/: the output of a Task for everybody who knows the address, without a sign-in."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from files import serving, storage, web
from files.removal import TEMPORARY
from files.safe import Entry, SafeFolder, UnsafePath
from jobs.models import Task

INDEX = "index.html"
SHOWN = 2000
"""entries of a folder in one page"""
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


# A page of it may show another one in a frame; whoever embeds it sees what is public anyway.
@xframe_options_exempt
@require_safe
def published(request: HttpRequest, published_id: str, path: str = "") -> HttpResponseBase:
    """A file, a folder's index.html, or a page that lists the folder. Who asks makes no difference."""
    if request.headers.get("Service-Worker"):
        raise Http404
    task = Task.objects.filter(published_id=published_id, deleted_at__isnull=True).first()
    if task is None:
        raise Http404
    home = reverse("published", args=[published_id])
    folder = storage.area(task.public_id, "output")
    try:
        return _answer(request, folder, path, home, task.name)
    except (FileNotFoundError, PermissionError, UnsafePath):
        raise Http404 from None


def _answer(
    request: HttpRequest, folder: SafeFolder, path: str, home: str, title: str
) -> HttpResponseBase:
    inside = path.rstrip("/")
    if any(name.startswith(TEMPORARY) for name in inside.split("/")):
        raise Http404
    contain = web.published(request.build_absolute_uri(home))
    if folder.entry(inside).kind != "folder":
        return serving.respond(request, folder, path, containment=contain)
    if inside and not path.endswith("/"):
        # Links in it are relative to the folder.
        return HttpResponseRedirect(f"{home}{quote(inside)}/")
    index = f"{inside}/{INDEX}" if inside else INDEX
    if _is_file(folder, index):
        return serving.respond(request, folder, index, containment=contain)
    return _listing(folder, inside, home, title)


def _is_file(folder: SafeFolder, path: str) -> bool:
    try:
        return folder.entry(path).kind == "file"
    except FileNotFoundError:
        return False


def _listing(folder: SafeFolder, path: str, home: str, title: str) -> HttpResponse:
    entries = folder.entries(path, limit=SHOWN + 1)
    context = {
        "title": title,
        "here": PurePosixPath(path).name,
        "above": [
            {"name": each.name, "url": f"{home}{quote(str(each))}/"}
            for each in reversed(PurePosixPath(path).parents)
            if each.name
        ],
        "home": home,
        "entries": [_shown(entry) for entry in entries[:SHOWN] if entry.kind != "other"],
        "cut": len(entries) > SHOWN,
    }
    # Without the request: no session is looked at, no cookie set, no name of who asks shown.
    response = HttpResponse(render_to_string("published/folder.html", context))
    response["Content-Security-Policy"] = _PAGE_POLICY
    web.harden(response)
    return response


def _shown(entry: Entry) -> dict[str, object]:
    slash = "/" if entry.kind == "folder" else ""
    # ./ keeps a name with a colon from being taken for another scheme.
    return {"entry": entry, "url": f"./{quote(entry.name)}{slash}", "is_folder": bool(slash)}
