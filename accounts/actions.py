"""What the audit log knows: every action once, with its sentence. Pure.

A sentence follows the actor's name; {} is the name of what it concerns.
"""

from __future__ import annotations

import enum


class Action(enum.StrEnum):
    """`<what>.<done>`; new ones are added here and nowhere else."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Action:
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    SIGNED_IN = "session.started", "signed in"
    SIGN_IN_FAILED = "session.refused", "could not sign in as {}"
    SIGN_INS_THROTTLED = "session.throttled", "refused to look at more passwords for {}"
    SIGNED_OUT = "session.ended", "signed out"

    PASSWORD_CHANGED = "password.changed", "changed their password"
    PASSWORD_SET = "password.set", "set the password of {}"
    PASSWORD_REFUSED = "password.refused", "gave a wrong present password for {}"
    PASSWORD_RESET = "password.reset", "made a link for a new password of {}"
    TOKEN_MADE = "token.made", "made the token {}"
    TOKEN_REVOKED = "token.revoked", "revoked the token {}"
    TOKEN_REFUSED = "token.refused", "refused the token {}"
    KEPT_OUT = "access.refused", "was refused at {}"

    PERSON_ADDED = "person.added", "added {}"
    PERSON_SWITCHED_OFF = "person.switched_off", "switched the account of {} off"
    PERSON_SWITCHED_ON = "person.switched_on", "switched the account of {} on"
    PERSON_MADE_STAFF = "person.made_staff", "made {} an administrator"
    PERSON_UNMADE_STAFF = "person.unmade_staff", "made {} an ordinary person"
    PERSON_CHANGED = "person.changed", "changed the account of {}"
    PERSON_HANDED_OVER = "person.handed_over", "handed all that {} owned over"
    PERSON_DELETED = "person.deleted", "deleted the account of {}"
    LIMITS_CHANGED = "limits.changed", "changed the limits of {}"

    TASK_CREATED = "task.created", "made the Task {}"
    TASK_CHANGED = "task.changed", "changed the Task {}"
    TASK_DATASETS = "task.datasets", "chose the Datasets of the Task {}"
    TASK_FILES = "task.files", "changed files of {}, somebody else's Task"
    TASK_DUPLICATED = "task.duplicated", "duplicated the Task {}"
    TASK_SHARED = "task.shared", "shared the Task {}"
    TASK_ROLE_CHANGED = "task.role_changed", "changed a role in the Task {}"
    TASK_UNSHARED = "task.unshared", "took the Task {} back from somebody"
    TASK_LEFT = "task.left", "left the Task {}"
    TASK_TRANSFERRED = "task.transferred", "gave the Task {} to another owner"
    TASK_PUBLISHED = "task.published", "published the output of {}"
    TASK_UNPUBLISHED = "task.unpublished", "ended the publishing of {}"
    TASK_ARCHIVED = "task.archived", "archived the Task {}"
    TASK_UNARCHIVED = "task.unarchived", "took the Task {} out of the archive"
    TASK_DELETED = "task.deleted", "put the Task {} into the bin"
    TASK_RESTORED = "task.restored", "took the Task {} out of the bin"
    TASK_PURGED = "task.purged", "deleted the Task {} with its files"

    RUN_SUBMITTED = "run.submitted", "submitted {} in somebody else's Task"
    RUN_CANCELLED = "run.cancelled", "cancelled {}, somebody else's Run"
    RUN_PRIORITIZED = "run.prioritized", "changed the priority of {}"

    DATASET_CREATED = "dataset.created", "made the Dataset {}"
    DATASET_REGISTERED = "dataset.registered", "registered the Dataset {} in place"
    DATASET_CHANGED = "dataset.changed", "changed the Dataset {}"
    DATASET_FILES = "dataset.files", "changed files of {}, somebody else's Dataset"
    DATASET_SHARED = "dataset.shared", "shared the Dataset {}"
    DATASET_ROLE_CHANGED = "dataset.role_changed", "changed a role in the Dataset {}"
    DATASET_UNSHARED = "dataset.unshared", "took the Dataset {} back from somebody"
    DATASET_TRANSFERRED = "dataset.transferred", "gave the Dataset {} to another owner"
    DATASET_DELETED = "dataset.deleted", "put the Dataset {} into the bin"
    DATASET_RESTORED = "dataset.restored", "took the Dataset {} out of the bin"
    DATASET_PURGED = "dataset.purged", "deleted the Dataset {} with its files"

    ENVIRONMENT_ADDED = "environment.added", "added the Environment {}"
    ENVIRONMENT_CHANGED = "environment.changed", "changed the Environment {}"
    ENVIRONMENT_CHECKED = "environment.checked", "had the Environment {} tested"
    ENVIRONMENT_DEFAULT = "environment.default", "made {} the usual Environment"
    ENVIRONMENT_RETIRED = "environment.retired", "retired the Environment {}"
    ENVIRONMENT_RESTORED = "environment.restored", "took the Environment {} back into use"

    MACHINE_DRAINED = "machine.drained", "drained {}"
    MACHINE_UNDRAINED = "machine.undrained", "took {} back into use"
    MACHINE_LOST = "machine.lost", "declared {} lost"
    REGISTERED_ANEW = "cluster.registered_anew", "had the portal registered anew with Mesos"

    ANNOUNCEMENT_MADE = "announcement.made", "announced {}"
    ANNOUNCEMENT_CHANGED = "announcement.changed", "changed the announcement {}"
    ANNOUNCEMENT_ENDED = "announcement.ended", "ended the announcement {}"
    SITE_CHANGED = "site.changed", "changed the site's settings"

    ADMIN_ADDED = "admin.added", "added {} on the database pages"
    ADMIN_CHANGED = "admin.changed", "changed {} on the database pages"
    ADMIN_DELETED = "admin.deleted", "deleted {} on the database pages"
    AUDIT_SWEPT = "audit.swept", "removed entries of this log that were too old to keep"


_KNOWN = {action.value: action for action in Action}


def phrase(action: str, subject: str) -> str:
    """What was done, as it reads behind a name; an action of an older version keeps its key."""
    known = _KNOWN.get(action)
    if known is None:
        return f"{action.replace('.', ' ').replace('_', ' ')} {subject}".strip()
    return known.sentence.format(f"“{subject}”" if subject else "something")
