"""Addresses below /api/v1/, each with or without a slash at the end."""

from __future__ import annotations

from django.urls import path

from jobs.api.base import Unknown, at
from jobs.api.cluster import (
    Cluster,
    DeclareMachineLost,
    DrainMachine,
    Environments,
    RegisterAnew,
    UndrainMachine,
)
from jobs.api.docs import docs
from jobs.api.files import Area, File
from jobs.api.log import RunLog
from jobs.api.people import Me, Token, Tokens
from jobs.api.runs import CancelRun, OneRun, RunAgain, Runs, TaskRuns
from jobs.api.tasks import OneTask, Tasks

__all__ = ["docs", "urlpatterns"]

urlpatterns = [
    at("me", Me, "api-me"),
    at("tokens", Tokens, "api-tokens"),
    at("tokens/<str:token>", Token, "api-token"),
    at("environments", Environments, "api-environments"),
    at("cluster", Cluster, "api-cluster"),
    at("cluster/register-anew", RegisterAnew, "api-register-anew"),
    at("cluster/machines/<str:machine>/drain", DrainMachine, "api-drain"),
    at("cluster/machines/<str:machine>/undrain", UndrainMachine, "api-undrain"),
    at("cluster/machines/<str:machine>/declare-lost", DeclareMachineLost, "api-declare-lost"),
    at("tasks", Tasks, "api-tasks"),
    at("tasks/<str:task>", OneTask, "api-task"),
    at("tasks/<str:task>/files/<str:area>", Area, "api-area"),
    path("tasks/<str:task>/files/<str:area>/<any:path>", File.as_view(), name="api-file"),
    at("tasks/<str:task>/runs", TaskRuns, "api-task-runs"),
    at("runs", Runs, "api-runs"),
    at("runs/<str:run>", OneRun, "api-run"),
    at("runs/<str:run>/cancel", CancelRun, "api-run-cancel"),
    at("runs/<str:run>/again", RunAgain, "api-run-again"),
    at("runs/<str:run>/log", RunLog, "api-run-log"),
    path("<any:rest>", Unknown.as_view(), name="api-unknown"),
]
