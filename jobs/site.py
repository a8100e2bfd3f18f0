"""Which backend the site uses, and how it is made from the settings."""

from __future__ import annotations

import socket

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.audit import Action
from files import storage
from jobs import attempts
from jobs.backends.base import Backend
from jobs.backends.registry import BackendConfig, make_backend, probe_docker
from jobs.models import BackendNote, Site
from jobs.quick import quick_lane

NAMES = ("docker", "local", "mesos")


class DatabaseNotes:
    """What backends must remember, in the database that every process of ours shares."""

    def get(self, key: str) -> str:
        return BackendNote.objects.filter(key=key).values_list("value", flat=True).first() or ""

    def put(self, key: str, value: str) -> None:
        BackendNote.objects.update_or_create(key=key, defaults={"value": value})


class UnknownBackend(ValueError):
    """There is no backend of that name; the message lists those there are."""


def backend_for(name: str) -> Backend:
    """A working backend object for this machine, from the settings."""
    return make_backend(
        name,
        config=BackendConfig(
            installation=Site.load().installation,
            machine=socket.gethostname(),
            runner_dir=settings.RCLUSTER_RUNNER_DIR,
            state_dir=settings.RCLUSTER_HOME / "backend-state",
            docker_host=settings.RCLUSTER_DOCKER_HOST,
            cpus=settings.RCLUSTER_CPUS,
            memory=int(settings.RCLUSTER_MEMORY) if settings.RCLUSTER_MEMORY else None,
            set_aside=quick_lane().memory_set_aside,
            registry_auth=settings.RCLUSTER_MESOS.registry_auth,
            mesos=settings.RCLUSTER_MESOS,
            notes=DatabaseNotes(),
            attempt_dir=attempts.folder_of,
            shared_dir=storage.storage_root() / "bin",
        ),
    )


def choose_backend(wanted: str) -> str:
    """`wanted`, or for "auto" the stored choice, or at first Docker if it answers, else local."""
    if wanted not in (*NAMES, "auto"):
        raise UnknownBackend(f"There is no backend “{wanted}”: choose {', '.join(NAMES)} or auto.")
    if wanted != "auto":
        return wanted
    return Site.load().backend or (
        "docker" if probe_docker(settings.RCLUSTER_DOCKER_HOST).ok else "local"
    )


def store_backend(name: str) -> Site:
    """Make `name` the backend of new Runs and note what it can do, for pages and checks."""
    capabilities = backend_for(name).capabilities
    site = Site.load()
    before = site.backend
    site.backend = name
    site.backend_has_images = capabilities.images
    site.backend_memory = capabilities.memory
    site.backend_network = capabilities.network
    site.backend_notes = list(capabilities.notes)
    with transaction.atomic():
        site.save()
        if before != name:
            audit.note(
                None,
                Action.SITE_CHANGED,
                subject="backend",
                subject_id="site",
                detail=audit.differences({"backend": before}, {"backend": name}),
            )
    return site
