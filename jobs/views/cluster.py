"""The cluster: machines, who uses what, the queue in order with reasons."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jobs.models import Run, Site
from jobs.views import capacity
from jobs.views.guard import SignedInRequest, signed_in

QUEUE = 100

_BACKENDS = {
    "docker": "Runs start in containers of this machine's Docker engine.",
    "local": "Runs start in sandboxes on this machine, with the R that is installed on it.",
}
_MEMORY = {
    "cgroup": "The memory limit holds for a Run as a whole.",
    "process": "The memory limit holds for each process of a Run, not for all together.",
}
_NETWORK = {
    "full": "Scripts can reach the network.",
    "none": "Scripts have no network here.",
}


def _state() -> dict[str, Any]:
    site = Site.load()
    waiting = list(
        Run.objects.waiting().select_related("task__owner").order_by("-priority", "id")[: QUEUE + 1]
    )
    return {
        "site": site,
        "facts": [
            sentence
            for sentence in (
                _BACKENDS.get(site.backend, ""),
                _MEMORY.get(site.backend_memory, ""),
                _NETWORK.get(site.backend_network, ""),
            )
            if sentence
        ],
        "machines": capacity.machines(site.backend),
        "queue": waiting[:QUEUE],
        "more_waiting": len(waiting) > QUEUE,
    }


@signed_in
@require_GET
def cluster(request: SignedInRequest) -> HttpResponse:
    return render(request, "cluster/page.html", _state())


@signed_in
@require_GET
def cluster_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "cluster/now.html", _state())
