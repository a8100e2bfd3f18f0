"""Addresses of the pages and, below them, of the parts that refresh themselves."""

from django.urls import path, register_converter

from accounts.ids import PATTERN
from jobs.views import cluster, home, runs, tasks


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
    path("tasks/", home.home_tasks, name="home_tasks"),
    path("tasks/new/", home.task_new, name="task_new"),
    path("tasks/examples/<slug:slug>/", home.example, name="example"),
    path("tasks/<public_id:task>/", tasks.task, name="task"),
    path("tasks/<public_id:task>/history/", tasks.task_history, name="task_history"),
    path("tasks/<public_id:task>/free/", tasks.task_free, name="task_free"),
    path("tasks/<public_id:task>/runs/<public_id:run>/", tasks.console_run, name="console_run"),
    path("runs/<public_id:run>/", runs.run, name="run"),
    path("runs/<public_id:run>/live/", runs.run_live, name="run_live"),
    path("runs/<public_id:run>/cancel/", runs.run_cancel, name="run_cancel"),
    path("runs/<public_id:run>/again/", runs.run_again, name="run_again"),
    path("cluster/", cluster.cluster, name="cluster"),
    path("cluster/now/", cluster.cluster_now, name="cluster_now"),
    path("cluster/register-anew/", cluster.cluster_register_anew, name="register_anew"),
    path("cluster/machines/<int:machine>/drain/", cluster.machine_drain, name="machine_drain"),
    path("cluster/machines/<int:machine>/lost/", cluster.machine_lost, name="machine_lost"),
]
