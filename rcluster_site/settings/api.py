"""The HTTP API."""

from rcluster_site.settings.core import ENV

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.rates.RequestRate"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "jobs.api.pagination.NewestFirst",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "jobs.api.schema.Schema",
    "EXCEPTION_HANDLER": "jobs.api.problems.problem_details",
}

RCLUSTER_RATE_REQUESTS = ENV.number("RCLUSTER_RATE_REQUESTS") or 0.0
RCLUSTER_RATE_ANONYMOUS = ENV.number("RCLUSTER_RATE_ANONYMOUS") or 0.0

SPECTACULAR_SETTINGS = {
    "TITLE": "R-Cluster API",
    "DESCRIPTION": "Run R on a pool of machines from your own scripts.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    # Sets of values that have a field's name in common.
    "ENUM_NAME_OVERRIDES": {
        "EnvironmentStateEnum": "jobs.api.environments.STATES",
        "RunStateEnum": "jobs.api.environments.RUN_STATES",
        "MemberRoleEnum": "jobs.models.Role",
        "TaskRoleEnum": "jobs.api.serializers.TASK_ROLES",
        "DatasetMemberRoleEnum": "files.models.DatasetRole",
        "DatasetRoleEnum": "jobs.api.datasets.ROLES",
    },
}
