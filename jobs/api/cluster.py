"""What there is to run on: machines, and what administrators do with them."""

from __future__ import annotations

from django.db.models import Count
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from jobs import capacity
from jobs.api.base import ApiView, needs
from jobs.api.serializers import (
    ClusterSerializer,
    MachineSerializer,
    RegistrationSerializer,
)
from jobs.machines import declare_lost, drain, undrain
from jobs.models import Machine, Run, Site
from jobs.registration import register_anew, registration
from jobs.states import RunState

RUNS_EACH = 100
"""Runs named of each machine"""


class Cluster(ApiView):
    @extend_schema(operation_id="cluster", responses=ClusterSerializer)
    def get(self, request: Request) -> Response:
        """The machines, what Runs hold of them, and how many Runs wait or run."""
        site = Site.load()
        machines = capacity.machines(site.backend, self.user, runs_each=RUNS_EACH)
        counts = dict(
            Run.objects.unfinished().order_by().values_list("state").annotate(Count("id"))
        )
        states = (RunState.QUEUED, RunState.STARTING, RunState.RUNNING)
        return Response(
            ClusterSerializer(
                {
                    "backend": site.backend,
                    "mesos": registration(site),
                    "images": site.backend_has_images,
                    "memory": site.backend_memory,
                    "network": site.backend_network,
                    "notes": site.backend_notes,
                    "machines": machines,
                    "total": capacity.total(machines),
                    "runs": {state.value: counts.get(state.value, 0) for state in states},
                }
            ).data
        )


class IsAdministrator(IsAdminUser):
    message = "Only administrators may do this."


class RegisterAnew(ApiView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)
    permission_classes = (IsAuthenticated, IsAdministrator)

    @extend_schema(operation_id="register_anew", request=None, responses=RegistrationSerializer)
    def post(self, request: Request) -> Response:
        """Administrators, after Mesos removed the portal's registration: register as a new framework.
        What Mesos ended then is found as lost; nothing else is touched. It takes some seconds: see
        `mesos` in the cluster. Refused (400) while the registration was not removed."""
        register_anew(user=self.user)
        return Response(RegistrationSerializer(registration(Site.load())).data)


class MachineView(ApiView):
    bodiless = ("POST",)
    scopes = needs(POST=Scope.MANAGE)
    permission_classes = (IsAuthenticated, IsAdministrator)

    def machine(self, given: str) -> Machine:
        """By its id, or by its name among the machines of the site's backend."""
        if "\0" in given or len(given) > 200:
            raise Http404
        machines = Machine.objects.select_related("drained_by", "lost_by")
        named = machines.filter(backend=Site.load().backend, name=given).first()
        if named is None and given.isdecimal() and len(given) < 19:
            named = machines.filter(pk=int(given)).first()
        if named is None:
            raise Http404
        return named

    def answer(self, machine: Machine) -> Response:
        use = capacity.machine(machine, self.user, runs_each=RUNS_EACH)
        return Response(MachineSerializer(use).data)


class DrainMachine(MachineView):
    @extend_schema(operation_id="drain_machine", request=None, responses=MachineSerializer)
    def post(self, request: Request, machine: str) -> Response:
        """Administrators: the machine gets no new Runs; those on it go on. Safe to repeat."""
        return self.answer(drain(user=self.user, machine=self.machine(machine)))


class UndrainMachine(MachineView):
    @extend_schema(operation_id="undrain_machine", request=None, responses=MachineSerializer)
    def post(self, request: Request, machine: str) -> Response:
        """Administrators: the machine gets Runs again. Safe to repeat."""
        return self.answer(undrain(user=self.user, machine=self.machine(machine)))


class DeclareMachineLost(MachineView):
    @extend_schema(operation_id="declare_machine_lost", request=None, responses=MachineSerializer)
    def post(self, request: Request, machine: str) -> Response:
        """Administrators: the machine is gone for good. Runs that were placed on it and whose end
        nobody saw become failed (node_lost), or start again where their owner allowed it. Refused
        (400) while the machine answers."""
        return self.answer(declare_lost(user=self.user, machine=self.machine(machine)))
