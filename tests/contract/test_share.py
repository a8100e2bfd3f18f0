"""What R takes for its share of the machine, and the surroundings that it finds: places, locale, time."""

from __future__ import annotations

import os
import re

import pytest

from .attempt import MIB, Lab

COUNTS = """
  say <- function(name, value) cat(name, value, "\\n")
  say("detectCores", parallel::detectCores())
  say("detectCores(FALSE)", parallel::detectCores(logical = FALSE))
  say("mc.cores", { loadNamespace("parallel"); getOption("mc.cores") })
  say("availableCores", parallelly::availableCores())
  say("availableWorkers", length(parallelly::availableWorkers()))
  say("nproc", system("nproc", intern = TRUE))
  say("getconf", system("getconf _NPROCESSORS_ONLN", intern = TRUE))
  for (name in c("OMP", "OPENBLAS", "BLIS", "MKL", "R_DATATABLE", "RCPP_PARALLEL"))
    say(name, Sys.getenv(paste0(name, "_NUM_THREADS")))
"""


def machine_cpus() -> int:
    return len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("cpus", "cores"), [(0.25, 1), (1.0, 1), (1.5, 2), (2.0, 2)])
def test_r_counts_its_own_share(lab: Lab, cpus: float, cores: int) -> None:
    """Whole processors, a part counted as one, and not a word of warning from anybody."""
    assert machine_cpus() >= cores, "this machine is too small for the test"
    found = dict(line.strip().rsplit(" ", 1) for line in lab.rscript(COUNTS, cpus=cpus).lines())
    assert found == dict.fromkeys(found, str(cores))
    assert len(found) == 13


def test_the_share_is_not_taken_from_other_runs(lab: Lab) -> None:
    """Two at once, each with its own."""
    small = lab.attempt(["/bin/sh", "-c", "grep -c ^processor /proc/cpuinfo"], cpus=1)
    large = lab.attempt(["/bin/sh", "-c", "grep -c ^processor /proc/cpuinfo"], cpus=2)
    for attempt in (small, large):
        attempt.launch()
    for attempt in (small, large):
        attempt.ended()
    assert (small.log(), large.log()) == (b"1\n", b"2\n")


def test_processors_are_this_machines(lab: Lab) -> None:
    """Programs look there for what the processor can do (flags, model), not only for how many."""
    seen = lab.run(["/bin/cat", "/proc/cpuinfo"], cpus=1).text()
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        first = file.read().split("\n\n")[0]
    if not lab.backend.capabilities.launch_is_start:
        first = "processor : 0"  # Some other machine's: what it can do is not known here.
        seen = seen.replace("\t", " ")
    counts = re.compile(r"^(siblings|cpu cores|cpu MHz)\s*:.*\n?", re.MULTILINE)
    assert counts.sub("", seen).strip() == counts.sub("", first).strip()


def test_processors_can_not_be_written(lab: Lab) -> None:
    command = "chmod u+w /proc/cpuinfo; echo x > /proc/cpuinfo; grep -c ^processor /proc/cpuinfo"
    assert lab.run(["/bin/sh", "-c", command], cpus=1).lines()[-1] == "1"


def test_parallel_code_that_counts(lab: Lab) -> None:
    """Forks and a cluster of R processes on the loopback, as many as were counted."""
    code = """
      library(parallel)
      n <- detectCores()
      forks <- mclapply(1:4, function(i) Sys.getpid(), mc.cores = n)
      cat(length(unique(unlist(forks))), "")
      cluster <- makeCluster(n)
      cat(length(unique(unlist(clusterCall(cluster, Sys.getpid)))), "")
      stopCluster(cluster)
      cluster <- parallelly::makeClusterPSOCK(parallelly::availableCores())
      cat(length(unique(unlist(clusterCall(cluster, Sys.getpid)))))
      stopCluster(cluster)
    """
    assert lab.rscript(code, cpus=2, memory=1024 * MIB).text() == "2 2 2"


def test_places_to_write(lab: Lab) -> None:
    code = """
      for (place in c("~", Sys.getenv("HOME"), Sys.getenv("TMPDIR"), tempdir(), "/tmp", "/var/tmp")) {
        file <- file.path(place, "x")
        writeLines("y", file)
        stopifnot(readLines(file) == "y")
      }
      saveRDS(1:3, "~/.cache.rds")
      dir.create(Sys.getenv("R_LIBS_USER"), recursive = TRUE)
      cat("written")
    """
    assert lab.rscript(code).text() == "written"


def test_texts_are_utf8(lab: Lab) -> None:
    # The code itself comes through the command line, where only bytes travel.
    code = r"""
      stopifnot(l10n_info()[["UTF-8"]], grepl("UTF-8", Sys.getlocale("LC_CTYPE")))
      word <- "Grüße, 東京"
      stopifnot(nchar(word) == 9, toupper("ü") == "Ü")
      writeLines(word, "prüfung.txt")
      stopifnot(readLines("prüfung.txt") == word, list.files(pattern = "ü") == "prüfung.txt")
      write.csv(data.frame(straße = word), "t.csv", row.names = FALSE)
      stopifnot(read.csv("t.csv", check.names = FALSE)[["straße"]] == word)
      cat(word, "\n")
      print(word)
    """
    attempt = lab.rscript(code)
    assert attempt.text() == 'Grüße, 東京 \n[1] "Grüße, 東京"\n'
    assert (attempt.code / "prüfung.txt").read_text("utf-8") == "Grüße, 東京\n"


@pytest.mark.parametrize(
    ("zone", "winter", "summer"),
    [
        ("Europe/Berlin", "13:00 CET", "14:00 CEST"),
        ("America/New_York", "07:00 EST", "08:00 EDT"),
        ("UTC", "12:00 UTC", "12:00 UTC"),
    ],
)
def test_times_are_in_the_sites_zone(lab: Lab, zone: str, winter: str, summer: str) -> None:
    code = """
      noon <- as.POSIXct(c("2024-01-15 12:00", "2024-07-15 12:00"), tz = "UTC")
      attr(noon, "tzone") <- NULL
      writeLines(c(Sys.timezone(), format(noon, "%H:%M %Z")))
      # Now, written in this zone and read again, is still now.
      cat(abs(as.numeric(Sys.time()) - as.numeric(as.POSIXct(format(Sys.time())))) < 2)
    """
    lines = lab.rscript(code, variables={"TZ": zone}).lines()
    assert lines == [zone, winter, summer, "TRUE"]
