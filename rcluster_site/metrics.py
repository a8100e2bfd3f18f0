"""/metrics for Prometheus: what waits, what runs, and whether somebody looks after it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied

from accounts.authentication import user_of
from jobs.models import Lease, Machine, Run
from jobs.states import FINAL, RunState


class PortalCollector:
    """Read from the database at each scrape; no query grows with history."""

    def collect(self) -> Iterator[Metric]:
        runs = GaugeMetricFamily(
            "rcluster_runs", "Runs that have not ended, by state", labels=["state"]
        )
        counts = dict(
            Run.objects.unfinished().order_by().values_list("state").annotate(Count("id"))
        )
        for state in RunState:
            if state not in FINAL:
                runs.add_metric([state], counts.get(state, 0))
        yield runs
        oldest = Run.objects.waiting().aggregate(oldest=Min("created_at"))["oldest"]
        waited = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily(
            "rcluster_oldest_wait_seconds", "How long the first in line has waited", value=waited
        )
        lease = Lease.objects.filter(name="supervision").first()
        held = lease is not None and lease.expires_at > timezone.now()
        yield GaugeMetricFamily(
            "rcluster_supervised", "1 if a backend worker looks after Runs", value=int(held)
        )
        cpus = GaugeMetricFamily(
            "rcluster_machine_cpus", "CPU cores that a machine offers", labels=["machine"]
        )
        memory = GaugeMetricFamily(
            "rcluster_machine_memory_bytes", "Memory that a machine offers", labels=["machine"]
        )
        for machine in Machine.objects.all():
            cpus.add_metric([machine.name], float(machine.cpus))
            memory.add_metric([machine.name], machine.memory)
        yield from (cpus, memory)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For administrators only, by token or session: counts tell strangers too much as well."""
    try:
        user = user_of(request)
    except AuthenticationFailed as error:
        return HttpResponse(f"{error.detail}\n", status=401, content_type="text/plain")
    except PermissionDenied as error:
        return HttpResponse(f"{error.detail}\n", status=403, content_type="text/plain")
    if not user.is_staff:
        status, words = (
            (403, "For administrators only.")
            if user.is_authenticated
            else (401, "Show an administrator's token.")
        )
        return HttpResponse(f"{words}\n", status=status, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PortalCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
