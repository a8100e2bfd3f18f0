"""Addresses of the pages and, below them, of the parts that refresh themselves."""

from django.urls import path, register_converter

from accounts.ids import PATTERN
from jobs.views import (
    cluster,
    datasets,
    environments,
    home,
    manage,
    manage_announcements,
    manage_audit,
    manage_people,
    manage_site,
    notices,
    published,
    publishing,
    run_changes,
    runs,
    task_settings,
    tasks,
)


class PublicId:
    regex = PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PublicId, "public_id")

urlpatterns = [
    path("", home.home, name="home"),
    path("now/", home.home_now, name="home_now"),
    path("notices/", notices.notices, name="notices"),
    path("tasks/", home.home_tasks, name="home_tasks"),
    path("tasks/new/", home.task_new, name="task_new"),
    path("tasks/examples/<slug:slug>/", home.example, name="example"),
    path("tasks/<public_id:task>/", tasks.task, name="task"),
    path("tasks/<public_id:task>/settings/", task_settings.task_settings, name="task_settings"),
    path("tasks/<public_id:task>/publish/", publishing.task_publish, name="task_publish"),
    path(
        "tasks/<public_id:task>/datasets/",
        datasets.task_choose_datasets,
        name="task_choose_datasets",
    ),
    path("tasks/<public_id:task>/share/", task_settings.task_share, name="task_share"),
    path("tasks/<public_id:task>/unshare/", task_settings.task_unshare, name="task_unshare"),
    path("tasks/<public_id:task>/leave/", task_settings.task_leave, name="task_leave"),
    path("tasks/<public_id:task>/transfer/", task_settings.task_transfer, name="task_transfer"),
    path("tasks/<public_id:task>/archive/", task_settings.task_archive, name="task_archive"),
    path("tasks/<public_id:task>/duplicate/", task_settings.task_duplicate, name="task_duplicate"),
    path("tasks/<public_id:task>/delete/", task_settings.task_delete, name="task_delete"),
    path("tasks/<public_id:task>/restore/", task_settings.task_restore, name="task_restore"),
    path("tasks/<public_id:task>/purge/", task_settings.task_purge, name="task_purge"),
    path("tasks/<public_id:task>/copying/", task_settings.task_copying, name="task_copying"),
    path("tasks/<public_id:task>/copy/", task_settings.task_copy_act, name="task_copy_act"),
    path("people/", task_settings.people, name="people"),
    path("tasks/<public_id:task>/history/", tasks.task_history, name="task_history"),
    path("tasks/<public_id:task>/free/", tasks.task_free, name="task_free"),
    path("tasks/<public_id:task>/runs/<public_id:run>/", tasks.console_run, name="console_run"),
    path("runs/<public_id:run>/", runs.run, name="run"),
    path("runs/<public_id:run>/live/", runs.run_live, name="run_live"),
    path("runs/<public_id:run>/cancel/", runs.run_cancel, name="run_cancel"),
    path("runs/<public_id:run>/again/", runs.run_again, name="run_again"),
    path("runs/<public_id:run>/change/", run_changes.run_change, name="run_change"),
    path("runs/<public_id:run>/preview/", runs.run_preview, name="run_preview"),
    path("o/<public_id:published_id>/", published.published, name="published"),
    path("o/<public_id:published_id>/<any:path>", published.published, name="published_file"),
    path("datasets/", datasets.datasets, name="datasets"),
    path("datasets/<public_id:dataset>/", datasets.dataset, name="dataset"),
    path("datasets/<public_id:dataset>/now/", datasets.dataset_now, name="dataset_now"),
    path("datasets/<public_id:dataset>/change/", datasets.dataset_change, name="dataset_change"),
    path("datasets/<public_id:dataset>/share/", datasets.dataset_share, name="dataset_share"),
    path("datasets/<public_id:dataset>/delete/", datasets.dataset_delete, name="dataset_delete"),
    path("datasets/<public_id:dataset>/restore/", datasets.dataset_restore, name="dataset_restore"),
    path("datasets/<public_id:dataset>/purge/", datasets.dataset_purge, name="dataset_purge"),
    path("cluster/", cluster.cluster, name="cluster"),
    path("cluster/now/", cluster.cluster_now, name="cluster_now"),
    path("cluster/register-anew/", cluster.cluster_register_anew, name="register_anew"),
    path("cluster/machines/<int:machine>/drain/", cluster.machine_drain, name="machine_drain"),
    path("cluster/machines/<int:machine>/lost/", cluster.machine_lost, name="machine_lost"),
    path("cluster/runs/<public_id:run>/priority/", cluster.run_priority, name="run_priority"),
    path("manage/environments/", environments.environments, name="manage_environments"),
    path("manage/environments/now/", environments.environments_now, name="manage_environments_now"),
    path("manage/environments/new/", environments.environment_new, name="manage_environment_new"),
    path("manage/environments/<slug:slug>/", environments.environment, name="manage_environment"),
    path(
        "manage/environments/<slug:slug>/now/",
        environments.environment_now,
        name="manage_environment_now",
    ),
    path(
        "manage/environments/<slug:slug>/edit/",
        environments.environment_edit,
        name="manage_environment_edit",
    ),
    path(
        "manage/environments/<slug:slug>/check/",
        environments.environment_check,
        name="manage_environment_check",
    ),
    path(
        "manage/environments/<slug:slug>/default/",
        environments.environment_default,
        name="manage_environment_default",
    ),
    path(
        "manage/environments/<slug:slug>/retire/",
        environments.environment_retire,
        name="manage_environment_retire",
    ),
    path("manage/", manage.overview, name="manage"),
    path("manage/now/", manage.overview_now, name="manage_now"),
    path("manage/runs/<public_id:run>/cancel/", manage.cancel, name="manage_cancel"),
    path("manage/people/", manage_people.people_list, name="manage_people"),
    path("manage/people/add/", manage_people.person_add, name="manage_person_add"),
    path("manage/people/limits/", manage_people.usual_limits, name="manage_limits"),
    path("manage/people/<int:person>/", manage_people.person, name="manage_person"),
    path("manage/people/<int:person>/link/", manage_people.person_link, name="manage_link"),
    path("manage/people/<int:person>/mail/", manage_people.person_mail, name="manage_mail"),
    path("manage/people/<int:person>/switch/", manage_people.person_switch, name="manage_switch"),
    path("manage/people/<int:person>/staff/", manage_people.person_staff, name="manage_staff"),
    path(
        "manage/people/<int:person>/limits/",
        manage_people.person_limits,
        name="manage_person_limits",
    ),
    path(
        "manage/people/<int:person>/hand-over/",
        manage_people.person_hand_over,
        name="manage_hand_over",
    ),
    path("manage/people/<int:person>/delete/", manage_people.person_delete, name="manage_delete"),
    path(
        "manage/announcements/", manage_announcements.announcement_list, name="manage_announcements"
    ),
    path(
        "manage/announcements/<int:announcement>/",
        manage_announcements.announcement,
        name="manage_announcement",
    ),
    path(
        "manage/announcements/<int:announcement>/end/",
        manage_announcements.announcement_end,
        name="manage_announcement_end",
    ),
    path("manage/site/", manage_site.site_settings, name="manage_site"),
    path("manage/audit/", manage_audit.audit_log, name="manage_audit"),
    path("manage/audit.csv", manage_audit.audit_csv, name="manage_audit_csv"),
]
