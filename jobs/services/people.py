"""What administrators do with people: add, switch off and on, make staff, links for passwords, delete.

Every function takes who does it as `by`, and raises Forbidden unless that is an administrator.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from files.models import Dataset, DatasetMember
from jobs import notify
from jobs.models import Run, Task, TaskMember, UserLimits
from jobs.services.refused import Refused
from jobs.services.rights import Forbidden, staff_only
from jobs.services.runs import cancel


def _still_staff(by: User) -> None:
    """In a transaction that takes rights away from another: one of two administrators who do that to each
    other at the same moment comes second, is none any more, and is refused. So one always remains."""
    administrators = User.objects.select_for_update().filter(is_staff=True, is_active=True)
    if by.pk not in list(administrators.order_by("pk").values_list("pk", flat=True)):
        raise Forbidden("Only administrators may do this.")


def subject_id(person: User) -> str:
    """By which the audit log knows them, whatever they are called."""
    return f"person-{person.pk}"


def people() -> QuerySet[User]:
    """Everybody who has an account, by name."""
    return User.objects.filter(closed_at__isnull=True).order_by("username")


def add_person(*, by: User, username: str, email: str = "", staff: bool = False) -> User:
    """A new account without a password: password_link() lets its person choose one."""
    staff_only(by)
    username, email = username.strip(), email.strip()
    _check_username(username)
    _check_email(email)
    try:
        with transaction.atomic():
            person = User(username=username, email=email, is_staff=staff, is_superuser=staff)
            person.set_unusable_password()
            person.save()
            _note(by, Action.PERSON_ADDED, person, "as administrator" if staff else "")
    except IntegrityError:
        raise _taken(username) from None
    return person


def password_link(*, by: User | None, person: User) -> str:
    """A path that lets whoever has it choose the password, once. It ends with the first use, the
    next sign-in, another link, or after PASSWORD_RESET_TIMEOUT. The present password is worth
    nothing from now on, and every session of theirs has ended; their tokens go on.

    `by` None: a command on the machine itself, whose user could read the database as well.
    """
    if by is not None:
        staff_only(by)
    if not person.is_active:
        raise Refused(f"The account of {person} is switched off: switch it on first.")
    if by is not None and person.pk == by.pk:
        raise Refused("Change your own password on your account page.")
    with transaction.atomic():
        # Another unusable one each time: links that were given before are worth nothing.
        person.set_unusable_password()
        person.save(update_fields=["password"])
        ended = _end_sessions(person)
        _note(by, Action.PASSWORD_RESET, person, f"{ended} sessions ended" if ended else "")
    uid = urlsafe_base64_encode(force_bytes(person.pk))
    return reverse("choose_password", args=[uid, default_token_generator.make_token(person)])


def link_lasts() -> timedelta:
    return timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)


def switch_off(*, by: User, person: User, cancel_runs: bool = False) -> int:
    """Their sessions end, their tokens are revoked, nobody can sign in as them. Their Runs go on,
    unless `cancel_runs`. Safe to repeat. Returns how many Runs were asked to stop."""
    staff_only(by)
    _not_oneself(by, person, "switch your own account off")
    with transaction.atomic():
        _still_staff(by)
        switched = User.objects.filter(pk=person.pk, is_active=True).update(is_active=False)
        person.is_active = False
        sessions = _end_sessions(person)
        tokens = person.api_tokens.all().delete()[0]
        runs = (
            Run.objects.unfinished().filter(submitted_by=person)
            if cancel_runs
            else Run.objects.none()
        )
        stopped = 0
        for run in runs.filter(cancel_requested_at__isnull=True).select_related(
            "task__owner", "submitted_by"
        ):
            cancel(user=by, run=run, reason="the account was switched off")
            stopped += 1
        if switched:
            told = f"{sessions} sessions ended, {tokens} tokens revoked, {stopped} Runs cancelled"
            _note(by, Action.PERSON_SWITCHED_OFF, person, told)
            _tell_sockets(person)
    return stopped


def switch_on(*, by: User, person: User) -> None:
    """They can sign in again, with their password. Safe to repeat."""
    staff_only(by)
    with transaction.atomic():
        rows = User.objects.filter(pk=person.pk, is_active=False, closed_at__isnull=True)
        if rows.update(is_active=True):
            _note(by, Action.PERSON_SWITCHED_ON, person)
    person.refresh_from_db()


def set_staff(*, by: User, person: User, staff: bool) -> None:
    """Make them an administrator, or an ordinary person. Safe to repeat."""
    staff_only(by)
    _not_oneself(by, person, "change what you may do yourself")
    with transaction.atomic():
        _still_staff(by)
        rows = User.objects.filter(pk=person.pk).exclude(is_staff=staff, is_superuser=staff)
        if rows.update(is_staff=staff, is_superuser=staff):
            _note(by, Action.PERSON_MADE_STAFF if staff else Action.PERSON_UNMADE_STAFF, person)
            _tell_sockets(person)
    person.refresh_from_db()


def make_administrator(username: str) -> User:
    """For a command on the machine itself: this person is an administrator and switched on afterwards;
    where there is nobody of that name, there is afterwards, without a password."""
    person = people().filter(username=username).first()
    with transaction.atomic():
        if person is None:
            _check_username(username)
            person = User(username=username, is_staff=True, is_superuser=True)
            person.set_unusable_password()
            person.save()
            _note(None, Action.PERSON_ADDED, person, "as administrator")
            return person
        rows = User.objects.filter(pk=person.pk)
        if rows.filter(is_active=False).update(is_active=True):
            _note(None, Action.PERSON_SWITCHED_ON, person)
        if rows.exclude(is_staff=True, is_superuser=True).update(is_staff=True, is_superuser=True):
            _note(None, Action.PERSON_MADE_STAFF, person)
            _tell_sockets(person)
    person.refresh_from_db()
    return person


def set_email(*, by: User, person: User, email: str) -> None:
    staff_only(by)
    email = email.strip()
    _check_email(email)
    with transaction.atomic():
        if User.objects.filter(pk=person.pk).exclude(email=email).update(email=email):
            _note(by, Action.PERSON_CHANGED, person, f"mail address {email or 'removed'}")
    person.email = email


def hand_over(*, by: User, person: User, to: User) -> tuple[int, int]:
    """Give all Tasks (the bin's too) and Datasets of `person` to `to`. Returns how many of each.

    Nothing moves on the storage, and Runs go on. Whoever takes it may be beyond their quota then.
    """
    staff_only(by)
    if to.pk == person.pk:
        raise Refused("Choose somebody else to hand it over to.", field="to")
    if not to.is_active:
        raise Refused(f"The account of {to} is switched off: choose somebody else.", field="to")
    with transaction.atomic():
        TaskMember.objects.filter(task__owner=person, user=to).delete()
        DatasetMember.objects.filter(dataset__owner=person, user=to).delete()
        tasks = _give(by, person, to, Task.objects.all(), Action.TASK_TRANSFERRED)
        datasets = _give(by, person, to, Dataset.objects.all(), Action.DATASET_TRANSFERRED)
        if tasks or datasets:
            _tell_sockets(person)
            _tell_sockets(to)
            told = f"{tasks} Tasks and {datasets} Datasets to {to}"
            _note(by, Action.PERSON_HANDED_OVER, person, told)
    return tasks, datasets


def _give(by: User, person: User, to: User, owned: QuerySet[Any], action: Action) -> int:
    """Each has an entry of its own: who looks for a Task finds how it came to its owner."""
    theirs = owned.filter(owner=person)
    found = list(theirs.select_for_update().values_list("pk", "name", "public_id"))
    for start in range(0, len(found), 500):
        theirs.filter(pk__in=[pk for pk, *_ in found[start : start + 500]]).update(owner=to)
    audit.note_each(
        by,
        action,
        [(name, public_id) for _, name, public_id in found],
        detail=f"From {person.get_username()} to {to.get_username()}, with all that was theirs.",
    )
    return len(found)


def why_not_deleted(person: User) -> str:
    """A sentence while they own something or have Runs under way; "" once they can be deleted."""
    tasks = Task.objects.filter(owner=person).count()
    datasets = Dataset.objects.filter(owner=person).count()
    if tasks or datasets:
        return (
            f"{person} still owns {_count(tasks, 'Task')} and {_count(datasets, 'Dataset')}, the bin "
            "included: hand them over to somebody first."
        )
    if runs := Run.objects.unfinished().filter(submitted_by=person).count():
        return f"{_count(runs, 'Run')} of {person} wait or go on: cancel them, or let them end."
    return ""


def delete_person(*, by: User, person: User) -> None:
    """Refused while they own anything or have Runs under way. What they did in Tasks of others keeps
    a name: the row then stays, closed, without password, address, tokens, roles and limits, and
    the user name is free again."""
    staff_only(by)
    _not_oneself(by, person, "delete your own account")
    with transaction.atomic():
        _still_staff(by)
        if reason := why_not_deleted(person):
            raise Refused(reason)
        _end_sessions(person)
        _note(by, Action.PERSON_DELETED, person)
        try:
            with transaction.atomic():
                User.objects.get(pk=person.pk).delete()
        except ProtectedError:
            _close(person)


def _close(person: User) -> None:
    TaskMember.objects.filter(user=person).delete()
    DatasetMember.objects.filter(user=person).delete()
    UserLimits.objects.filter(user=person).delete()
    person.api_tokens.all().delete()
    person.set_unusable_password()
    person.username = _closed_name(person.username)
    person.email = person.first_name = person.last_name = ""
    person.is_active = person.is_staff = person.is_superuser = False
    person.closed_at = timezone.now()
    person.save()


def _closed_name(username: str) -> str:
    """anna (deleted), anna (deleted 2) ...: a name that nobody can choose."""
    base = username[:130]
    taken = set(
        User.objects.filter(username__startswith=f"{base} (deleted").values_list(
            "username", flat=True
        )
    )
    name, count = f"{base} (deleted)", 1
    while name in taken:
        count += 1
        name = f"{base} (deleted {count})"
    return name


def _end_sessions(person: User) -> int:
    """Sessions know their person only inside. Returns how many there were."""
    wanted = str(person.pk)
    rows = Session.objects.filter(expire_date__gt=timezone.now()).iterator(500)
    keys = [row.pk for row in rows if row.get_decoded().get("_auth_user_id") == wanted]
    for start in range(0, len(keys), 500):
        Session.objects.filter(pk__in=keys[start : start + 500]).delete()
    return len(keys)


def _tell_sockets(person: User) -> None:
    """update() sends no signal, by which they would hear of it (jobs/apps.py)."""
    transaction.on_commit(lambda: notify.access_changed([person.pk]))


def _check_username(username: str) -> None:
    if not username:
        raise Refused("Give the person a user name.", field="username")
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError:
        raise Refused(
            "Use letters, digits and @ . + - _ for the user name, no blanks.", field="username"
        ) from None
    if len(username) > 100:
        raise Refused("Use at most 100 characters for the user name.", field="username")
    # "Anna" beside "anna" would only be mistaken for her.
    if User.objects.filter(username__iexact=username).exists():
        raise _taken(username)


def _taken(username: str) -> Refused:
    return Refused(f"There is somebody named {username} already.", field="username")


def _check_email(email: str) -> None:
    if not email:
        return
    try:
        validate_email(email)
    except ValidationError:
        raise Refused("This is no mail address; you may leave it empty.", field="email") from None
    if len(email) > 254:
        raise Refused("This mail address is too long.", field="email")


def _not_oneself(by: User, person: User, what: str) -> None:
    """Also what keeps the portal from losing its last administrator: who does it remains one."""
    if by.pk == person.pk:
        raise Refused(f"You can't {what}: ask another administrator.")


def _note(by: User | None, action: Action, person: User, detail: str = "") -> None:
    audit.note(
        by, action, subject=person.get_username(), subject_id=subject_id(person), detail=detail
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
