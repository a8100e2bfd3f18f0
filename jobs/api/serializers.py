"""JSON in and out. Times are UTC, memory is bytes, CPUs are decimal numbers, time limits seconds."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.models import ApiToken, Scope
from jobs.api.dataset_fields import ChosenDatasets
from jobs.api.fields import Cores, Flag, Moment, Strict, Text, Whole
from jobs.capacity import MachineUse, Total
from jobs.models import Environment, Lane, Role, Run, RunKind, Task, TaskCopy
from jobs.registration import Registration
from jobs.services import RunRequest
from jobs.services.priorities import HIGHEST, LOWEST
from jobs.states import Reason, RunState

MAX_ARGUMENTS = 1000
MAX_VARIABLES = 1000
TASK_ROLES = ("owner", *Role.values)
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def moment(**options: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(default_timezone=UTC, **options)


class MeSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    name = serializers.CharField(source="get_full_name")
    email = serializers.CharField()
    staff = serializers.BooleanField(source="is_staff")


class TokenSerializer(serializers.Serializer[ApiToken]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), help_text="what it may be used for"
    )
    created_at = moment()
    expires_at = moment()
    last_used_at = moment(allow_null=True)


class NewTokenSerializer(TokenSerializer):
    token = serializers.CharField(help_text="The token itself. It is shown only this once.")


class TokenRequestSerializer(Strict):
    name = Text(max_length=100, allow_blank=False, trim_whitespace=True)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        required=False,
        min_length=1,
        max_length=len(Scope),
        help_text="What it may be used for. Default: read, run, files.",
    )
    expires_at = Moment(required=False, help_text="Default: in 90 days; at most a year from now.")


class MachineSerializer(serializers.Serializer[MachineUse]):
    id = serializers.IntegerField(source="machine.pk")
    name = serializers.CharField()
    attributes = serializers.DictField(child=serializers.CharField(), source="machine.attributes")
    cpus = serializers.FloatField()
    memory = serializers.IntegerField()
    used_cpus = serializers.FloatField(help_text="held by Runs that start or run")
    used_memory = serializers.IntegerField()
    free_cpus = serializers.FloatField(help_text="held by nobody, as far as is known")
    free_memory = serializers.IntegerField()
    runs = serializers.ListField(
        child=serializers.CharField(),
        source="run_ids",
        help_text="ids of those on it that I may see, at most 100",
    )
    run_count = serializers.IntegerField(help_text="Runs on it, of everybody")
    takes_runs = serializers.BooleanField(help_text="It answers, is not drained and not set aside.")
    answers = serializers.BooleanField(help_text="There was word from it lately.")
    heard_at = moment(source="machine.heard_at", help_text="the last word from it")
    note = serializers.CharField(
        source="machine.note", help_text="why it gets no Runs just now, in a sentence"
    )
    advice = serializers.CharField(
        source="machine.advice", help_text="what an administrator should change on it"
    )
    drained_at = moment(source="machine.drained_at", allow_null=True)
    drained_by = serializers.CharField(
        source="machine.drained_by.username", default=None, allow_null=True
    )
    lost_at = moment(
        source="machine.lost_at",
        allow_null=True,
        help_text="when it was last declared lost; it may have come back since: see answers",
    )
    lost_by = serializers.CharField(
        source="machine.lost_by.username", default=None, allow_null=True
    )


class TotalSerializer(serializers.Serializer[Total]):
    machines = serializers.IntegerField(help_text="in all")
    taking = serializers.IntegerField(help_text="how many of them take Runs")
    cpus = serializers.FloatField()
    memory = serializers.IntegerField()
    used_cpus = serializers.FloatField()
    used_memory = serializers.IntegerField()
    free_cpus = serializers.FloatField()
    free_memory = serializers.IntegerField()


class RegistrationSerializer(serializers.Serializer[Registration]):
    """How the portal stands with Mesos, as far as its backend worker knows."""

    master = serializers.CharField(help_text="host:port of the leading one; empty: none is known")
    version = serializers.CharField(help_text="of the master")
    framework_id = serializers.CharField()
    registered = serializers.BooleanField()
    explanation = serializers.CharField(
        help_text="why it is not registered, or what else is amiss; empty: all is well"
    )
    agents = serializers.IntegerField(help_text="how many answer")
    since = moment(allow_null=True, help_text="since when it is registered, or isn't")
    removed_at = moment(
        allow_null=True,
        help_text="when Mesos removed the registration: it takes an administrator to register anew",
    )


class ClusterSerializer(serializers.Serializer[Any]):
    backend = serializers.CharField()
    mesos = RegistrationSerializer(allow_null=True, help_text="null: the backend is another one")
    images = serializers.BooleanField()
    memory = serializers.CharField(help_text='"cgroup": a Run as a whole; "process": each process')
    network = serializers.CharField(help_text='"full" or "none"')
    notes = serializers.ListField(child=serializers.CharField())
    machines = MachineSerializer(many=True)
    total = TotalSerializer(help_text="of the machines that take Runs")
    runs = serializers.DictField(
        child=serializers.IntegerField(), help_text="how many are queued, starting, running"
    )


class ChosenEnvironment(serializers.SlugRelatedField[Environment]):
    """An Environment by its id, among those that new Runs may choose."""

    default_error_messages = {  # noqa: RUF012 - REST framework's own way
        "does_not_exist": "There is no environment “{value}” to choose: see /api/v1/environments.",
        "invalid": "Give the id of an environment: see /api/v1/environments.",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(slug_field="slug", queryset=Environment.objects.all(), **options)

    def get_queryset(self) -> Any:
        return Environment.objects.offered()

    def to_internal_value(self, data: Any) -> Environment:
        if not isinstance(data, str) or not _SLUG.fullmatch(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class TaskCopySerializer(serializers.Serializer[TaskCopy]):
    bytes_done = serializers.IntegerField()
    bytes_total = serializers.IntegerField(allow_null=True, help_text="null: not counted yet")
    problem = serializers.CharField(help_text="why it stopped for good; empty while it goes on")


class TaskSerializer(serializers.Serializer[Task]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    role = serializers.SerializerMethodField(
        help_text='what I may do: "owner" everything, "editor" also change and run, "viewer" look'
    )
    environment = serializers.CharField(
        source="environment.slug", default=None, allow_null=True, help_text="null: the site's usual"
    )
    cpus = serializers.FloatField()
    memory = serializers.IntegerField()
    time_limit = serializers.IntegerField(help_text="0: none")
    datasets = ChosenDatasets(help_text="names of those that its Runs find at /data/<name>")
    created_at = moment()
    used_at = moment()
    archived_at = moment(allow_null=True, help_text="since when it is in the archive")
    deleted_at = moment(allow_null=True, help_text="since when it is in the bin")
    goes_at = moment(
        source="gone_at",
        default=None,
        allow_null=True,
        help_text="when one in the bin goes for good, with its files",
    )
    storage_used = serializers.IntegerField(help_text="bytes of files and logs, as last measured")
    storage_measured_at = moment(allow_null=True, help_text="null: not measured yet")
    copying = TaskCopySerializer(
        source="copy",
        default=None,
        allow_null=True,
        help_text="while the files of a duplicate are on their way: nothing can run before",
    )
    published_url = serializers.CharField(
        source="get_published_url",
        allow_null=True,
        help_text="where everybody may read its output without a sign-in; null: not published",
    )
    url = serializers.CharField(source="get_absolute_url", help_text="its page")

    @extend_schema_field(serializers.ChoiceField(choices=TASK_ROLES))
    def get_role(self, task: Task) -> str:
        user = self.context["user"]
        if user.is_staff or task.owner_id == user.pk:
            return "owner"
        return str(getattr(task, "member_role", None) or Role.VIEWER.value)


class TaskRequestSerializer(Strict):
    name = Text(max_length=200, allow_blank=False)
    description = Text(required=False, max_length=10_000)
    environment = ChosenEnvironment(required=False, allow_null=True)
    cpus = Cores(required=False)
    memory = Whole(required=False)
    time_limit = Whole(required=False)
    datasets = ChosenDatasets(
        required=False, help_text="names of those that its Runs find at /data/<name>, all of them"
    )
    published = Flag(
        required=False,
        help_text="true: everybody who knows its address may read output; only the owner sets it",
    )
    archived = Flag(
        required=False, help_text="true: out of the way, nothing runs in it; only the owner sets it"
    )


class RunSerializer(serializers.Serializer[Run]):
    """A Run in a list; RunDetailSerializer adds the texts, which may be large."""

    id = serializers.CharField(source="public_id")
    task = serializers.CharField(source="task.public_id")
    number = serializers.IntegerField()
    title = serializers.CharField()
    kind = serializers.ChoiceField(choices=RunKind.choices)
    script_path = serializers.CharField()
    command = serializers.CharField()
    arguments = serializers.ListField(child=serializers.CharField())
    datasets = serializers.SerializerMethodField(
        help_text="names of those that were mounted read-only at /data/<name>"
    )
    variables = serializers.DictField(child=serializers.CharField())
    environment = serializers.CharField(source="environment.slug")
    image_digest = serializers.CharField()
    cpus = serializers.FloatField()
    memory = serializers.IntegerField()
    time_limit = serializers.IntegerField()
    constraints = serializers.CharField(help_text="attributes that its machine must have")
    lane = serializers.ChoiceField(choices=Lane.choices)
    priority = serializers.IntegerField(help_text="higher ones go first; 0 is usual")
    retry_if_lost = serializers.BooleanField()
    state = serializers.ChoiceField(choices=[state.value for state in RunState])
    reason = serializers.ChoiceField(
        choices=[reason.value for reason in Reason if reason], allow_blank=True
    )
    explanation = serializers.CharField()
    ahead = serializers.IntegerField(
        allow_null=True,
        help_text="While it waits: Runs before it in line, exact below 20, else at least so many; "
        'where the reason is "user_limit", of its owner\'s. null: not told',
    )
    cancelling = serializers.BooleanField(source="is_cancelling")
    attempt = serializers.IntegerField(help_text="0: not started yet")
    backend = serializers.CharField()
    machine = serializers.CharField()
    submitted_by = serializers.CharField(source="submitted_by.username")
    repeats = serializers.CharField(source="repeats.public_id", default=None, allow_null=True)
    created_at = moment()
    placed_at = moment(allow_null=True)
    started_at = moment(allow_null=True)
    finished_at = moment(allow_null=True)
    cancel_requested_at = moment(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True)
    log_size = serializers.IntegerField(help_text="bytes, once the Run has ended")
    log_dropped = serializers.IntegerField()
    peak_memory = serializers.IntegerField(allow_null=True)
    cpu_seconds = serializers.FloatField(allow_null=True)
    url = serializers.CharField(source="get_absolute_url", help_text="its page")

    def get_datasets(self, run: Run) -> list[str]:
        return [each["name"] for each in run.datasets]


class RunDetailSerializer(RunSerializer):
    script_text = serializers.CharField(help_text="as it was when the Run was submitted")
    stdin = serializers.CharField(allow_null=True, help_text="null: there was none")


class PrioritySerializer(Strict):
    priority = Whole(
        min_value=LOWEST, max_value=HIGHEST, help_text="higher ones go first; 0 is usual"
    )


class RunAgainSerializer(Strict):
    """What shall differ from the Run that is repeated. What is left out is as it was then."""

    cpus = Cores(required=False, allow_null=True)
    memory = Whole(required=False, allow_null=True, help_text="bytes")
    time_limit = Whole(required=False, allow_null=True, help_text="seconds; 0: none")
    lane = serializers.ChoiceField(
        choices=Lane.choices,
        required=False,
        allow_null=True,
        help_text="What a quick command had is left out in the queue: there it gets what its Task "
        "usually has.",
    )


class RunRequestSerializer(Strict):
    """What to run. What is left out is as the Task usually has it."""

    kind = serializers.ChoiceField(
        choices=RunKind.choices, required=False, help_text="Default: what the other fields say."
    )
    script_path = Text(required=False, max_length=500, help_text="below code/")
    command = Text(required=False, help_text="for the shell")
    arguments = serializers.ListField(child=Text(), required=False, max_length=MAX_ARGUMENTS)
    variables = serializers.DictField(child=Text(), required=False)
    stdin = Text(required=False, allow_null=True)
    environment = ChosenEnvironment(required=False, allow_null=True)
    cpus = Cores(required=False, allow_null=True)
    memory = Whole(required=False, allow_null=True)
    time_limit = Whole(required=False, allow_null=True, help_text="seconds; 0: none")
    constraints = Text(
        required=False,
        max_length=500,
        help_text="attributes that the machine must have besides the environment's: disk:ssd, zone:a",
    )
    lane = serializers.ChoiceField(
        choices=Lane.choices,
        required=False,
        allow_null=True,
        help_text="Default: a command that asks for no cpus, memory and time_limit is quick, all else "
        "goes through the queue. A quick command may ask for at most what the lane gives.",
    )
    retry_if_lost = Flag(required=False)

    def validate_variables(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MAX_VARIABLES:
            raise ValidationError("Too many variables: put them into a file of the Task.")
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValidationError(
                    f"“{name}” is no variable name: use letters, digits and _, no digit first."
                )
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "kind" not in attrs:
            if bool(attrs.get("script_path")) == bool(attrs.get("command")):
                raise ValidationError({"kind": ["Give a script_path or a command."]})
            attrs["kind"] = RunKind.SCRIPT if attrs.get("script_path") else RunKind.COMMAND
        return attrs

    def request(self) -> RunRequest:
        return RunRequest(**self.validated_data)
