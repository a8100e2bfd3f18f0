"""What administrators do with Environments: add, change, check, retire, choose the usual one.

A check is an ordinary Run, of the portal's own hidden Task, that loads the packages an Environment
promises (docs/decisions/0014-environment-checks.md). Whether an Environment is ready follows from
that Run when somebody asks; it is written down before another check takes its place.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from files import storage
from jobs.models import GIB, Environment, Machine, Run, RunKind, Site, Task
from jobs.services.environment_fields import FIELDS, new_slug, set_fields
from jobs.services.refused import Refused
from jobs.services.rights import staff_only
from jobs.services.runs import RunRequest, cancel, submit

if TYPE_CHECKING:
    from django.db.models import QuerySet

log = logging.getLogger(__name__)

CPUS, MEMORY, TIME_LIMIT = Decimal("0.5"), 1 * GIB, 600
"""what a check asks for at most; pulling the image has a deadline of its own"""
NOT_AGAIN_WITHIN = timedelta(hours=1)
"""the nightly check leaves those alone that were checked so lately"""


def add_environment(*, user: User, name: str, slug: str = "", **fields: Any) -> Environment:
    """A new one, and its first check: nobody may choose it before that has succeeded.

    `fields`: image, description, packages, pull_policy, constraints.
    """
    staff_only(user)
    if not Site.load().backend_has_images:
        raise Refused(
            "Runs start with the R of the machine itself here: only the backends “docker” and "
            "“mesos” take images."
        )
    environment = Environment(uses_image=True, slug=new_slug(slug, name))
    set_fields(environment, {"name": name, "image": "", **fields})
    with transaction.atomic():
        environment.save(force_insert=True)
        _note(user, Action.ENVIRONMENT_ADDED, environment, environment.image)
        _check(environment, user)
    return environment


def change_environment(*, user: User, environment: Environment, **changes: Any) -> Environment:
    """Change what is given. Another image, pull policy or list of packages is checked at once; with
    another image nobody may choose the Environment until that check has succeeded."""
    staff_only(user)
    with transaction.atomic():
        environment = _locked(environment)
        before = {name: getattr(environment, name) for name in FIELDS}
        set_fields(environment, changes)
        changed = {name for name in FIELDS if getattr(environment, name) != before[name]}
        if not changed:
            return environment
        if "image" in changed:
            _end_check(environment, user)
            environment.check_run = None
            environment.ready_at = environment.digest_since = None
            environment.digest = ""
        elif "packages" in changed:
            _end_check(environment, user)
        environment.save()
        told = audit.differences(
            {name: before[name] for name in sorted(changed)},
            {name: getattr(environment, name) for name in changed},
        )
        _note(user, Action.ENVIRONMENT_CHANGED, environment, told)
        if changed & {"image", "pull_policy", "packages"} and environment.retired_at is None:
            _check(environment, user)
    return environment


def update_environment(
    *,
    user: User,
    environment: Environment,
    retired: bool | None = None,
    is_default: bool = False,
    **changes: Any,
) -> Environment:
    """All that was asked for, or nothing: take it back, change it, make it the usual one, retire it."""
    with transaction.atomic():
        if retired is False:
            environment = restore_environment(user=user, environment=environment)
        environment = change_environment(user=user, environment=environment, **changes)
        if is_default:
            environment = make_default(user=user, environment=environment)
        if retired:
            environment = retire_environment(user=user, environment=environment)
    return environment


def check_environment(*, user: User, environment: Environment) -> Run:
    """Pull its image if need be and load its packages. One that is under way is not begun again."""
    staff_only(user)
    with transaction.atomic():
        environment = _locked(environment)
        if environment.retired_at is not None:
            raise Refused(f"“{environment.name}” is retired: take it back into use first.")
        if environment.check_run is not None and environment.is_checked_now:
            return environment.check_run
        _note(user, Action.ENVIRONMENT_CHECKED, environment)
        return _check(environment, user)


def retire_environment(*, user: User, environment: Environment) -> Environment:
    """No new Run may choose it; those that wait or run in it go on. Idempotent."""
    staff_only(user)
    with transaction.atomic():
        environment = _locked(environment)
        if environment.retired_at is not None:
            return environment
        if environment.is_default:
            raise Refused(
                f"“{environment.name}” is the usual Environment: make another one the usual one first."
            )
        _end_check(environment, user)
        _write_down(environment)
        environment.retired_at = timezone.now()
        environment.save(update_fields=["retired_at"])
        _note(user, Action.ENVIRONMENT_RETIRED, environment)
    return environment


def restore_environment(*, user: User, environment: Environment) -> Environment:
    """Into use again, as it was, and checked once more. Idempotent."""
    staff_only(user)
    with transaction.atomic():
        environment = _locked(environment)
        if environment.retired_at is None:
            return environment
        environment.retired_at = None
        environment.save(update_fields=["retired_at"])
        _note(user, Action.ENVIRONMENT_RESTORED, environment)
        if environment.uses_image == Site.load().backend_has_images:
            _check(environment, user)
    return environment


def make_default(*, user: User, environment: Environment) -> Environment:
    """What new Tasks use unless they choose another one. Idempotent."""
    staff_only(user)
    with transaction.atomic():
        environment = _locked(environment)
        if environment.is_default:
            return environment
        if not Environment.objects.usable().filter(pk=environment.pk).exists():
            raise Refused(
                f"“{environment.name}” can't be chosen now, so it can't be the usual one.",
                field="is_default",
            )
        Environment.objects.filter(uses_image=environment.uses_image).update(is_default=False)
        environment.is_default = True
        environment.save(update_fields=["is_default"])
        _note(user, Action.ENVIRONMENT_DEFAULT, environment)
    return environment


def check_all_environments() -> int:
    """The nightly look: is what the names stand for today still sound? Returns how many it began.

    In the name of whoever had the last check; safe to run twice.
    """
    lately = timezone.now() - NOT_AGAIN_WITHIN
    return sum(
        _check_unasked(each)
        for each in _in_use()
        if each.check_run is None
        or (each.check_run.is_final and each.check_run.created_at <= lately)
    )


def check_new_environments() -> int:
    """Check those that nobody has ever checked: the first one is there before anything can run.

    Only while nothing else waits or runs: on a small machine a person's first Run would wait for
    it. Returns how many it began; safe to run twice.
    """
    if Run.objects.unfinished().exists():
        return 0
    return sum(_check_unasked(each) for each in _in_use().filter(check_run__isnull=True))


def _in_use() -> QuerySet[Environment]:
    return managed_environments().filter(
        retired_at__isnull=True, uses_image=Site.load().backend_has_images
    )


def _check_unasked(environment: Environment) -> bool:
    """Begin a check that no administrator asked for. No: nobody is there to own it, or not now."""
    user = _nightly_checker(environment.check_run)
    if user is None:
        return False
    try:
        with transaction.atomic():
            _check(_locked(environment), user)
    except Refused as refused:
        log.warning("The environment %s is not checked now: %s", environment.slug, refused)
        return False
    return True


def managed_environments() -> QuerySet[Environment]:
    """All of them with their checks, the usual one first, retired ones last."""
    return (
        Environment.objects.select_related("check_run__task", "check_run__submitted_by")
        .defer("check_run__script_text", "check_run__stdin")
        .order_by("retired_at", "-is_default", "name")
    )


@dataclass(frozen=True)
class Newer:
    """An image that Runs met under an Environment's name since its last test."""

    digest: str
    run: Run
    """the first that used it"""


def newer_image(environment: Environment) -> Newer | None:
    """Has the name come to stand for another image than the one that was tested?"""
    tested = environment.tested_digest
    runs = Run.objects.filter(environment=environment).exclude(image_digest="")
    last = runs.order_by("-id").values_list("image_digest", flat=True).first()
    if not tested or last is None or last == tested or environment.is_checked_now:
        return None
    since = runs.filter(image_digest=last).select_related("task").defer("script_text", "stdin")
    if environment.check_run is not None:
        since = since.filter(pk__gt=environment.check_run.pk)
    first = since.order_by("id").first()
    return Newer(last, first) if first is not None else None


def _locked(environment: Environment) -> Environment:
    """The row as it is now, until the end of the transaction."""
    return managed_environments().select_for_update(of=("self",)).get(pk=environment.pk)


def _check(environment: Environment, user: User) -> Run:
    """Begin a check of what the row says now. Call within a transaction, with the row locked."""
    if environment.uses_image != Site.load().backend_has_images:
        raise Refused(
            f"“{environment.name}” can't be checked: the backend of this portal starts Runs "
            f"{'without' if environment.uses_image else 'only from'} images."
        )
    _write_down(environment)
    largest = Machine.objects.filter(backend=Site.load().backend).aggregate(
        cpus=Max("cpus"), memory=Max("memory")
    )
    run = submit(
        user=user,
        task=_checks_task(user),
        checking=environment,
        request=RunRequest(
            kind=RunKind.SCRIPT,
            script_path="check.R",
            script_text=_script(),
            arguments=environment.packages,
            cpus=min(CPUS, largest["cpus"] or CPUS),
            memory=min(MEMORY, largest["memory"] or MEMORY),
            time_limit=min(TIME_LIMIT, settings.RCLUSTER_TIME_LIMIT or TIME_LIMIT),
        ),
    )
    environment.check_run = run
    environment.save(update_fields=["check_run"])
    return run


def _write_down(environment: Environment) -> None:
    """What its present check has shown, before that is forgotten."""
    environment.ready_at, environment.digest, environment.digest_since = (
        environment.passed_at,
        environment.tested_digest,
        environment.tested_since,
    )
    environment.save(update_fields=["ready_at", "digest", "digest_since"])


def _end_check(environment: Environment, user: User) -> None:
    """What it looks for is no longer asked."""
    if environment.check_run is not None and environment.is_checked_now:
        cancel(user=user, run=environment.check_run)


def _checks_task(user: User) -> Task:
    """The portal's own, made by whoever needs it first."""
    found = Task.objects.filter(is_hidden=True).first()
    if found is None:
        try:
            with transaction.atomic():
                found = Task.objects.create(
                    name="Checks of Environments", owner=user, is_hidden=True
                )
        except IntegrityError:
            found = Task.objects.get(is_hidden=True)
    try:
        storage.create_task_folders(found.public_id)
    except OSError as error:
        raise Refused(
            f"The folders for checks could not be made: {error.strerror}. Look at the storage."
        ) from error
    return found


def _nightly_checker(last: Run | None) -> User | None:
    """Whoever had the last check, else the first administrator."""
    if last is not None and last.submitted_by.is_active and last.submitted_by.is_staff:
        return last.submitted_by
    return User.objects.filter(is_staff=True, is_active=True).order_by("pk").first()


@lru_cache(maxsize=1)
def _script() -> str:
    path: Path = settings.BASE_DIR / "deploy" / "environments" / "check.R"
    return path.read_text()


def _note(user: User, action: Action, environment: Environment, detail: str = "") -> None:
    audit.note(user, action, subject=environment.name, subject_id=environment.slug, detail=detail)
