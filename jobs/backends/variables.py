"""The environment variables that every container gets, whatever the backend."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from jobs.backends.base import ContainerSpec

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


def site_proxies(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The site's proxy variables, in both spellings: programs disagree on which they read."""
    environ = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            found[name] = found[name.upper()] = value
    return found


def container_variables(spec: ContainerSpec, proxies: Mapping[str, str]) -> dict[str, str]:
    """Ours, then the user's, who may choose otherwise; only who the Run is can't be changed."""
    # R and its packages count the machine's cores unless told otherwise, and then wait for each
    # other inside the CPU quota.
    cores = str(max(1, math.floor(spec.cpus)))
    return {
        "HOME": "/tmp",  # noqa: S108 - the container's own
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "MC_CORES": cores,
        "OMP_NUM_THREADS": cores,
        "OPENBLAS_NUM_THREADS": cores,
        "MKL_NUM_THREADS": cores,
        "R_DATATABLE_NUM_THREADS": cores,
        "R_PARALLELLY_AVAILABLECORES_FALLBACK": cores,
        **proxies,
        **spec.variables,
        "RCLUSTER_RUN": spec.run,
        "RCLUSTER_ATTEMPT": str(spec.attempt),
    }
