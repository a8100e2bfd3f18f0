"""What people can do with Datasets. Their files go through files/datasets.py."""

from __future__ import annotations

import logging
import re
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from files import datasets as folders
from files.models import (
    DATASET_NAME,
    Dataset,
    DatasetMember,
    DatasetQuerySet,
    DatasetRole,
)
from files.storage import StorageAway
from jobs import notify
from jobs.services import checks, quota
from jobs.services.bin import grace
from jobs.services.granting import runs_on
from jobs.services.refused import Refused
from jobs.services.rights import MOST_MEMBERS, Forbidden, staff_only

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)

_NAME = re.compile(DATASET_NAME)
_IN_PLACE = (
    "This Dataset was registered in place: the portal shows its files and leaves them as they are. "
    "Change them where they lie."
)


# Who may do what. Rows that somebody may not even see are never reached: see visible_to().


def dataset_role(user: User, dataset: Dataset) -> DatasetRole | None:
    """The person's role as a member; None for the owner and staff, who may do everything. A person
    for whom it is only because it is for everybody counts as a reader."""
    if user.is_staff or dataset.owner_id == user.pk:
        return None
    member = DatasetMember.objects.filter(dataset=dataset, user_id=user.pk).first()
    return DatasetRole.READER if member is None else DatasetRole(member.role)


def must_manage_dataset(user: User, dataset: Dataset) -> None:
    """Share, delete, restore, give away. Raises Forbidden."""
    if dataset_role(user, dataset) is not None:
        raise Forbidden(f"Only the owner can do that: ask {dataset.owner.get_username()}.")


def must_edit_dataset(user: User, dataset: Dataset) -> None:
    """Describe it. Raises Forbidden."""
    if dataset_role(user, dataset) not in (None, DatasetRole.EDITOR):
        raise Forbidden(
            "You may use this Dataset, not change it. "
            f"Ask {dataset.owner.get_username()} to make you an editor."
        )


def must_change_files(user: User, dataset: Dataset) -> None:
    """Upload, move, remove. Raises Forbidden."""
    must_edit_dataset(user, dataset)
    if dataset.path:
        raise Forbidden(_IN_PLACE)


def why_files_stay(user: User, dataset: Dataset) -> str:
    """Why this person can't change its files, in a sentence; "" if they can."""
    try:
        must_change_files(user, dataset)
    except Forbidden as no:
        return str(no)
    return ""


# Making and changing.


def create_dataset(
    *, user: User, name: str, description: str = "", for_everybody: bool = False
) -> Dataset:
    """An empty Dataset of `user`, at data/<name>."""
    dataset = _new(user, name, description, for_everybody)
    try:
        folders.make_folder(name)
    except FileExistsError:
        raise Refused(
            f"There is a folder data/{name} on the storage already. Choose another name, or ask an "
            "administrator to register it in place.",
            field="name",
        ) from None
    except OSError as error:
        raise Refused(
            f"The Dataset's folder could not be made: {error.strerror}. Tell your administrator."
        ) from error
    try:
        _save_new(user, dataset, Action.DATASET_CREATED, "")
    except BaseException:
        folders.remove_new_folder(name)
        raise
    return dataset


def register_dataset(
    *, user: User, name: str, path: str, description: str = "", for_everybody: bool = False
) -> Dataset:
    """A Dataset of a folder that lies below the storage already: nothing is copied, and nothing in
    it is ever changed or removed from here. Only for administrators."""
    staff_only(user, "register a folder in place")
    dataset = _new(user, name, description, for_everybody)
    try:
        dataset.path = folders.registrable(path, Dataset.objects.all())
    except folders.NotRegistrable as error:
        raise Refused(str(error), field="path") from None
    except StorageAway as error:
        raise Refused(f"The folder can't be looked at: {error.strerror}.", field="path") from error
    _save_new(user, dataset, Action.DATASET_REGISTERED, f"the folder {dataset.path}")
    return dataset


def update_dataset(
    *,
    user: User,
    dataset: Dataset,
    description: str | None = None,
    for_everybody: bool | None = None,
) -> Dataset:
    """Describe it (editors); say whether everybody may use it (the owner). The name never changes."""
    told = []
    # Only what was asked for is written, and only where it is another: what somebody else changed
    # since this row was read stays theirs.
    same = Dataset.objects.filter(pk=dataset.pk)
    with transaction.atomic():
        if description is not None:
            must_edit_dataset(user, dataset)
            dataset.description = checks.description(description)
            others = same.exclude(description=dataset.description)
            if others.update(description=dataset.description):
                told.append("the description")
        if for_everybody is not None:
            must_manage_dataset(user, dataset)
            dataset.for_everybody = for_everybody
            if same.exclude(for_everybody=for_everybody).update(for_everybody=for_everybody):
                told.append("now for everybody" if for_everybody else "no longer for everybody")
        if told:
            _note(user, Action.DATASET_CHANGED, dataset, ", ".join(told))
    return dataset


def files_changed(dataset: Dataset, *, grew: int = 0) -> None:
    """`grew` bytes are counted at once; all of it is measured anew soon."""
    Dataset.objects.filter(pk=dataset.pk).update(
        changed_at=timezone.now(), size=Greatest(F("size") + grew, 0)
    )


# Members.


def share_dataset(*, user: User, dataset: Dataset, person: User, role: str) -> DatasetMember:
    """Let somebody use it, or change what they may do."""
    must_manage_dataset(user, dataset)
    name = person.get_username()
    if role not in DatasetRole.values:
        raise Refused("Choose “reader” or “editor”.", field="role")
    if person.pk == dataset.owner_id:
        raise Refused(f"{name} owns this Dataset and may do everything.", field="username")
    _must_be_active(person)
    with transaction.atomic():
        before = DatasetMember.objects.filter(dataset=dataset, user=person).first()
        if before is not None and before.role == role:
            return before
        if before is None and dataset.members.count() >= MOST_MEMBERS:
            raise Refused(
                f"A Dataset has at most {MOST_MEMBERS} members: open it for everybody instead."
            )
        member, _ = DatasetMember.objects.update_or_create(
            dataset=dataset, user=person, defaults={"role": role}
        )
        if before is None:
            _note(user, Action.DATASET_SHARED, dataset, f"With {name}, as {role}.")
        else:
            detail = f"{name} is {role} instead of {before.role}."
            _note(user, Action.DATASET_ROLE_CHANGED, dataset, detail)
    return member


def unshare_dataset(*, user: User, dataset: Dataset, person: User) -> None:
    """Take it back from a member, who may also leave by themselves. Safe to repeat.

    What they have running goes on; what waits is refused when it would start (docs/decisions/0012).
    """
    if person.pk != user.pk:
        must_manage_dataset(user, dataset)
    elif dataset.owner_id == user.pk:
        raise Refused("You own this Dataset: give it to somebody else first, or delete it.")
    with transaction.atomic():
        if DatasetMember.objects.filter(dataset=dataset, user=person).delete()[0]:
            _note(user, Action.DATASET_UNSHARED, dataset, f"From {person.get_username()}.")


def transfer_dataset(*, user: User, dataset: Dataset, person: User) -> Dataset:
    """Give it to another owner. Who owned it stays as an editor, and may leave."""
    must_manage_dataset(user, dataset)
    name, before = person.get_username(), dataset.owner
    if person.pk == before.pk:
        raise Refused(f"{name} owns this Dataset already.", field="to")
    _must_be_active(person, field="to")
    left = None if dataset.path else quota.room_left(person)
    if left is not None and dataset.size > left:
        raise Refused(
            f"{name} has no room for it: ask them to make some, or your administrator for more.",
            field="to",
        )
    with transaction.atomic():
        if not Dataset.objects.filter(pk=dataset.pk, owner=before).update(owner=person):
            raise Refused("This Dataset was given to somebody else just now. Reload the page.")
        DatasetMember.objects.filter(dataset=dataset, user=person).delete()
        DatasetMember.objects.update_or_create(
            dataset=dataset, user=before, defaults={"role": DatasetRole.EDITOR}
        )
        dataset.owner = person
        detail = f"From {before.get_username()} to {name}."
        _note(user, Action.DATASET_TRANSFERRED, dataset, detail)
    return dataset


# The bin.


def delete_dataset(*, user: User, dataset: Dataset) -> Dataset:
    """Put it into the bin: no new Run gets it, and after the grace its files are removed."""
    must_manage_dataset(user, dataset)
    if dataset.deleted_at:
        return dataset
    _refuse_while_used(dataset)
    with transaction.atomic():
        kept = Dataset.objects.filter(pk=dataset.pk, deleted_at__isnull=True)
        if kept.update(deleted_at=timezone.now()):
            _note(user, Action.DATASET_DELETED, dataset)
    dataset.refresh_from_db(fields=["deleted_at"])
    return dataset


def restore_dataset(*, user: User, dataset: Dataset) -> Dataset:
    """Out of the bin, with its members and the Tasks that name it. One that isn't in it stays as it is."""
    must_manage_dataset(user, dataset)
    with transaction.atomic():
        # The sweep may have been faster: then there is nothing to restore.
        found = Dataset.objects.filter(pk=dataset.pk)
        if found.filter(deleted_at__isnull=False).update(deleted_at=None):
            _note(user, Action.DATASET_RESTORED, dataset)
        elif not found.exists():
            raise Refused("The time to restore it has run out: it is gone.")
    dataset.deleted_at = None
    return dataset


def purge_dataset(*, user: User, dataset: Dataset) -> None:
    """Don't wait for the end of the grace: a Dataset in the bin goes for good now, with its files
    unless they were registered in place. There is no way back."""
    must_manage_dataset(user, dataset)
    told = "Without waiting for the end of its grace."
    try:
        if _remove(user, dataset, Dataset.objects.filter(deleted_at__isnull=False), told):
            notify.sweep_datasets()
        elif runs_on(dataset).exists():
            raise Refused("A Run still uses this Dataset. Delete it for good when that has ended.")
    except OSError as error:
        raise Refused(
            f"The Dataset can't be removed now: {error.strerror}. Try again later, or tell your "
            "administrator."
        ) from error


def goes_at(dataset: Dataset) -> datetime | None:
    """When a Dataset in the bin goes for good; None for one that isn't there."""
    return dataset.deleted_at + grace() if dataset.deleted_at else None


def sweep_datasets() -> int:
    """Remove what has been in the bin for long enough; returns how many Datasets. Safe to repeat:
    what the storage refuses is tried again next time.

    Raises StorageAway.
    """
    gone = 0
    due = Dataset.objects.filter(deleted_at__lt=timezone.now() - grace())
    for dataset in due:
        try:
            gone += _remove(None, dataset, due)
        except StorageAway:
            raise
        except OSError as error:
            log.warning("The Dataset %s can't be removed now: %s", dataset.name, error)
    folders.clear_hidden()
    return gone


def _remove(user: User | None, dataset: Dataset, due: DatasetQuerySet, told: str = "") -> bool:
    """For good, if it is still one of `due`; clear_hidden() then removes its files. Raises OSError."""
    with transaction.atomic():
        # Restored meanwhile, or a Run that was submitted in the moment of its deletion.
        if runs_on(dataset).exists() or not due.filter(pk=dataset.pk).delete()[0]:
            return False
        folders.hide(dataset)
        kept = f"The folder {dataset.path} stays." if dataset.path else ""
        _note(user, Action.DATASET_PURGED, dataset, " ".join(filter(None, (told, kept))))
    return True


# What they share.


def _refuse_while_used(dataset: Dataset) -> None:
    count = runs_on(dataset).count()
    if count:
        runs = "A Run waits or runs" if count == 1 else f"{count} Runs wait or run"
        raise Refused(f"{runs} with this Dataset. Delete it when they have ended.")


def _new(user: User, name: str, description: str, for_everybody: bool) -> Dataset:
    if not _NAME.fullmatch(name):
        raise Refused(
            "Use small letters, digits, - and _ for the name, at most 63, and begin with a letter "
            "or digit: scripts name it as /data/<name>.",
            field="name",
        )
    if (other := Dataset.objects.filter(name=name).first()) is not None:
        where = " in the bin" if other.deleted_at else ""
        raise Refused(f"There is a Dataset {name}{where} already.", field="name")
    return Dataset(
        name=name,
        description=checks.description(description),
        owner=user,
        for_everybody=for_everybody,
    )


def _save_new(user: User, dataset: Dataset, action: Action, detail: str) -> None:
    try:
        with transaction.atomic():
            dataset.save(force_insert=True)
            _note(user, action, dataset, detail)
    except IntegrityError:
        raise Refused(f"There is a Dataset {dataset.name} already.", field="name") from None


def _must_be_active(person: User, *, field: str = "username") -> None:
    if not person.is_active:
        raise Refused(f"The account of {person.get_username()} is switched off.", field=field)


def _note(user: User | None, action: Action, dataset: Dataset, detail: str = "") -> None:
    audit.note(user, action, subject=dataset.name, subject_id=dataset.public_id, detail=detail)
