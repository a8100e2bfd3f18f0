"""The environment variables that every container gets, whatever the backend."""

from __future__ import annotations

import os
from collections.abc import Mapping

from jobs.backends.base import ContainerSpec
from jobs.backends.processors import cores

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_CORES = (
    "MC_CORES",  # parallel::mclapply and, with it, parallelly::availableCores
    "R_PARALLELLY_AVAILABLECORES_FALLBACK",
    "OMP_NUM_THREADS",  # OpenMP, nproc
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "R_DATATABLE_NUM_THREADS",
    "RCPP_PARALLEL_NUM_THREADS",
)
"""What R and its packages obey where they would count the machine's processors (processors.py)."""
_METHODS = "system,nproc,mc.cores,_R_CHECK_LIMIT_CORES_,fallback,custom"
"""Where parallelly looks: all say the same. Left to itself it also compares the control group's CPU
set, which is the whole machine's, with the processors that it sees, and warns."""


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
    return {
        "HOME": "/tmp",  # noqa: S108 - the container's own
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        **dict.fromkeys(_CORES, str(cores(spec.cpus))),
        "R_PARALLELLY_AVAILABLECORES_METHODS": _METHODS,
        "R_PARALLELLY_AVAILABLEWORKERS_METHODS": _METHODS,
        **proxies,
        **spec.variables,
        "RCLUSTER_RUN": spec.run,
        "RCLUSTER_ATTEMPT": str(spec.attempt),
    }
