"""Addresses below /api/v1/, each with or without a slash at the end."""

from __future__ import annotations

from django.urls import path

from jobs.api.account_tokens import AccountToken, AccountTokens
from jobs.api.announcements import PresentAnnouncements
from jobs.api.audit_file import AuditFile
from jobs.api.base import Unknown, at
from jobs.api.cluster import (
    Cluster,
    DeclareMachineLost,
    DrainMachine,
    RegisterAnew,
    UndrainMachine,
)
from jobs.api.dataset_files import DatasetFile, DatasetFiles
from jobs.api.datasets import (
    DatasetMembers,
    DatasetOneMember,
    Datasets,
    OneDataset,
    PurgeDataset,
    RestoreDataset,
    TransferDataset,
)
from jobs.api.docs import docs
from jobs.api.environments import CheckEnvironment, Environments, OneEnvironment
from jobs.api.files import Area, File
from jobs.api.log import RunLog
from jobs.api.log_search import LogPosition, SearchLog
from jobs.api.manage import (
    AccountLimits,
    Accounts,
    Announcements,
    Audit,
    HandOver,
    OneAccount,
    OneAnnouncement,
    PasswordLink,
    SiteSettings,
    UsualLimits,
)
from jobs.api.members import People, TaskMembers, TaskOneMember
from jobs.api.people import Me, Token, Tokens
from jobs.api.runs import CancelRun, OneRun, PrioritizeRun, RunAgain, Runs, TaskRuns
from jobs.api.tasks import (
    DuplicateTask,
    OneTask,
    PurgeTask,
    RestoreTask,
    TaskCopy,
    Tasks,
    TransferTask,
)

__all__ = ["docs", "urlpatterns"]

urlpatterns = [
    at("me", Me, "api-me"),
    at("tokens", Tokens, "api-tokens"),
    at("tokens/<str:token>", Token, "api-token"),
    at("announcements", PresentAnnouncements, "api-present-announcements"),
    at("environments", Environments, "api-environments"),
    at("environments/<str:environment>", OneEnvironment, "api-environment"),
    at("environments/<str:environment>/check", CheckEnvironment, "api-environment-check"),
    at("cluster", Cluster, "api-cluster"),
    at("cluster/register-anew", RegisterAnew, "api-register-anew"),
    at("cluster/machines/<str:machine>/drain", DrainMachine, "api-drain"),
    at("cluster/machines/<str:machine>/undrain", UndrainMachine, "api-undrain"),
    at("cluster/machines/<str:machine>/declare-lost", DeclareMachineLost, "api-declare-lost"),
    at("datasets", Datasets, "api-datasets"),
    at("datasets/<str:dataset>", OneDataset, "api-dataset"),
    at("datasets/<str:dataset>/restore", RestoreDataset, "api-dataset-restore"),
    at("datasets/<str:dataset>/purge", PurgeDataset, "api-dataset-purge"),
    at("datasets/<str:dataset>/transfer", TransferDataset, "api-dataset-transfer"),
    at("datasets/<str:dataset>/members", DatasetMembers, "api-dataset-members"),
    at("datasets/<str:dataset>/members/<str:username>", DatasetOneMember, "api-dataset-member"),
    at("datasets/<str:dataset>/files", DatasetFiles, "api-dataset-files"),
    path("datasets/<str:dataset>/files/<any:path>", DatasetFile.as_view(), name="api-dataset-file"),
    at("tasks", Tasks, "api-tasks"),
    at("tasks/<str:task>", OneTask, "api-task"),
    at("tasks/<str:task>/duplicate", DuplicateTask, "api-task-duplicate"),
    at("tasks/<str:task>/copy", TaskCopy, "api-task-copy"),
    at("tasks/<str:task>/transfer", TransferTask, "api-task-transfer"),
    at("tasks/<str:task>/restore", RestoreTask, "api-task-restore"),
    at("tasks/<str:task>/purge", PurgeTask, "api-task-purge"),
    at("tasks/<str:task>/members", TaskMembers, "api-task-members"),
    at("tasks/<str:task>/members/<str:username>", TaskOneMember, "api-task-member"),
    at("people", People, "api-people"),
    at("tasks/<str:task>/files/<str:area>", Area, "api-area"),
    path("tasks/<str:task>/files/<str:area>/<any:path>", File.as_view(), name="api-file"),
    at("tasks/<str:task>/runs", TaskRuns, "api-task-runs"),
    at("runs", Runs, "api-runs"),
    at("runs/<str:run>", OneRun, "api-run"),
    at("runs/<str:run>/cancel", CancelRun, "api-run-cancel"),
    at("runs/<str:run>/again", RunAgain, "api-run-again"),
    at("runs/<str:run>/priority", PrioritizeRun, "api-run-priority"),
    at("runs/<str:run>/log", RunLog, "api-run-log"),
    at("runs/<str:run>/log/search", SearchLog, "api-run-log-search"),
    at("runs/<str:run>/log/position", LogPosition, "api-run-log-position"),
    at("manage/people", Accounts, "api-accounts"),
    at("manage/people/<str:username>", OneAccount, "api-account"),
    at("manage/people/<str:username>/password-link", PasswordLink, "api-password-link"),
    at("manage/people/<str:username>/tokens", AccountTokens, "api-account-tokens"),
    at("manage/people/<str:username>/tokens/<str:token>", AccountToken, "api-account-token"),
    at("manage/people/<str:username>/hand-over", HandOver, "api-hand-over"),
    at("manage/people/<str:username>/limits", AccountLimits, "api-account-limits"),
    at("manage/limits", UsualLimits, "api-limits"),
    at("manage/announcements", Announcements, "api-announcements"),
    at("manage/announcements/<int:announcement>", OneAnnouncement, "api-announcement"),
    at("manage/site", SiteSettings, "api-site"),
    at("manage/audit", Audit, "api-audit"),
    at("manage/audit.csv", AuditFile, "api-audit-file"),
    path("<any:rest>", Unknown.as_view(), name="api-unknown"),
]
