"""What there is to run on: Environments and machines."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet, Sum
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.base import ApiView
from jobs.api.pagination import OnePage
from jobs.api.serializers import ClusterSerializer, EnvironmentSerializer
from jobs.models import Environment, Machine, Run, Site
from jobs.states import RunState


class Environments(ListAPIView[Environment], ApiView):
    serializer_class = EnvironmentSerializer
    pagination_class = OnePage

    def get_queryset(self) -> QuerySet[Environment]:
        return Environment.objects.offered()

    @extend_schema(operation_id="list_environments")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The Environments that a Run may choose, the usual one first."""
        return super().get(request, *args, **kwargs)


class Cluster(ApiView):
    @extend_schema(operation_id="cluster", responses=ClusterSerializer)
    def get(self, request: Request) -> Response:
        """The machines, what Runs hold of them, and how many Runs wait or run."""
        site = Site.load()
        held = {
            row["machine"]: row
            for row in Run.objects.active()
            .filter(backend=site.backend)
            .order_by()
            .values("machine")
            .annotate(cpus=Sum("cpus"), memory=Sum("memory"))
        }
        machines = []
        for machine in Machine.objects.filter(backend=site.backend):
            used = held.get(machine.name, {"cpus": 0, "memory": 0})
            machines.append(
                {
                    "name": machine.name,
                    "cpus": machine.cpus,
                    "memory": machine.memory,
                    "used_cpus": used["cpus"],
                    "used_memory": used["memory"],
                    "heard_at": machine.heard_at,
                }
            )
        counts = dict(
            Run.objects.unfinished().order_by().values_list("state").annotate(Count("id"))
        )
        states = (RunState.QUEUED, RunState.STARTING, RunState.RUNNING)
        return Response(
            ClusterSerializer(
                {
                    "backend": site.backend,
                    "images": site.backend_has_images,
                    "memory": site.backend_memory,
                    "network": site.backend_network,
                    "notes": site.backend_notes,
                    "machines": machines,
                    "runs": {state.value: counts.get(state.value, 0) for state in states},
                }
            ).data
        )
