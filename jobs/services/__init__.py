"""What people can do: pages, API, command line and admin all call these, and nothing else changes rows.

Each either does what was asked, or raises Refused and changes nothing. Notifications leave on commit.
"""

from jobs.services.bin import StillGoing, delete_task, purge_task, restore_task
from jobs.services.checks import COMMAND_LIMIT, SMALLEST_CPUS, SMALLEST_MEMORY
from jobs.services.clearing import clear_later
from jobs.services.copying import duplicate_task, give_up_copy, try_copy_again
from jobs.services.datasets import (
    create_dataset,
    dataset_role,
    delete_dataset,
    files_changed,
    must_change_files,
    must_edit_dataset,
    must_manage_dataset,
    purge_dataset,
    register_dataset,
    restore_dataset,
    share_dataset,
    sweep_datasets,
    transfer_dataset,
    unshare_dataset,
    update_dataset,
)
from jobs.services.environment_fields import package_names
from jobs.services.environments import (
    add_environment,
    change_environment,
    check_all_environments,
    check_environment,
    check_new_environments,
    make_default,
    managed_environments,
    newer_image,
    restore_environment,
    retire_environment,
    update_environment,
)
from jobs.services.granting import choose_datasets
from jobs.services.outsiders import note_files as note_files_changed
from jobs.services.priorities import prioritize
from jobs.services.publishing import publish, unpublish
from jobs.services.quota import grew as files_grew
from jobs.services.quota import over_quota, room_left
from jobs.services.quota import refuse_beyond as refuse_beyond_quota
from jobs.services.quota import refuse_if_over as refuse_if_over_quota
from jobs.services.refused import Refused
from jobs.services.rights import Forbidden, may_edit, may_manage, must_edit, must_manage, role_of
from jobs.services.runs import (
    SCRIPT_LIMIT,
    STDIN_LIMIT,
    RunRequest,
    cancel,
    cancel_waiting,
    run_again,
    script_name,
    submit,
)
from jobs.services.sharing import (
    find_people,
    leaving,
    person_named,
    share_task,
    transfer_task,
    unshare_task,
)
from jobs.services.site_settings import change_site
from jobs.services.tasks import archive_task, create_task, unarchive_task, update_task

__all__ = [
    "COMMAND_LIMIT",
    "SCRIPT_LIMIT",
    "SMALLEST_CPUS",
    "SMALLEST_MEMORY",
    "STDIN_LIMIT",
    "Forbidden",
    "Refused",
    "RunRequest",
    "StillGoing",
    "add_environment",
    "archive_task",
    "cancel",
    "cancel_waiting",
    "change_environment",
    "change_site",
    "check_all_environments",
    "check_environment",
    "check_new_environments",
    "choose_datasets",
    "clear_later",
    "create_dataset",
    "create_task",
    "dataset_role",
    "delete_dataset",
    "delete_task",
    "duplicate_task",
    "files_changed",
    "files_grew",
    "find_people",
    "give_up_copy",
    "leaving",
    "make_default",
    "managed_environments",
    "may_edit",
    "may_manage",
    "must_change_files",
    "must_edit",
    "must_edit_dataset",
    "must_manage",
    "must_manage_dataset",
    "newer_image",
    "note_files_changed",
    "over_quota",
    "package_names",
    "person_named",
    "prioritize",
    "publish",
    "purge_dataset",
    "purge_task",
    "refuse_beyond_quota",
    "refuse_if_over_quota",
    "register_dataset",
    "restore_dataset",
    "restore_environment",
    "restore_task",
    "retire_environment",
    "role_of",
    "room_left",
    "run_again",
    "script_name",
    "share_dataset",
    "share_task",
    "submit",
    "sweep_datasets",
    "transfer_dataset",
    "transfer_task",
    "try_copy_again",
    "unarchive_task",
    "unpublish",
    "unshare_dataset",
    "unshare_task",
    "update_dataset",
    "update_environment",
    "update_task",
]
