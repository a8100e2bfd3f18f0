"""Limits of memory, CPU and processes, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

from jobs.backends.base import Life

from .attempt import MIB, Lab

HOG = "x <- list(); repeat x[[length(x) + 1]] <- rnorm(1e6)"


def test_out_of_memory(lab: Lab) -> None:
    attempt = lab.rscript(f'cat("go\\n"); {HOG}', memory=128 * MIB)
    status = attempt.status()
    assert (status.exit_code, status.out_of_memory) == (137, True)
    assert attempt.log().startswith(b"go\n")


def test_out_of_memory_of_a_child_only(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "tail /dev/zero; echo survived; exit 0"], memory=64 * MIB)
    status = attempt.status()
    assert b"survived" in attempt.log()
    assert (status.exit_code, status.out_of_memory) == (0, True)


def test_memory_within_the_limit(lab: Lab) -> None:
    attempt = lab.rscript("x <- numeric(2e7); cat(sum(x))", memory=512 * MIB)
    assert attempt.log() == b"0"
    assert not attempt.status().out_of_memory
    assert attempt.record()["peak_memory_bytes"] > 150 * MIB


def test_files_that_are_written_and_read_are_not_memory_that_is_needed(lab: Lab) -> None:
    """The kernel keeps them while there is room; R itself needs some 60 MB here."""
    code = """
      block <- raw(2^20); file <- file("/output/large", "wb")
      for (i in 1:400) writeBin(block, file)
      close(file); file <- file("/output/large", "rb")
      for (i in 1:400) invisible(readBin(file, "raw", 2^20))
      Sys.sleep(0.5)
    """
    attempt = lab.rscript(code, memory=256 * MIB)
    assert not attempt.status().out_of_memory
    assert attempt.record()["peak_memory_bytes"] < 128 * MIB


def test_temporary_files_do_not_escape_the_limit_or_the_run(lab: Lab) -> None:
    first = lab.run(["/bin/sh", "-c", "echo secret > /tmp/x; cat /tmp/x"])
    second = lab.run(["/bin/sh", "-c", "ls -A /tmp"])
    assert first.log() == b"secret\n"
    assert second.log() == b""


def test_cpu_is_shared_out(lab: Lab) -> None:
    code = """
      t <- proc.time(); while ((proc.time() - t)[[3]] < 2) {}
      p <- proc.time() - t; cat((p[[1]] + p[[2]]) / p[[3]])
    """
    used = float(lab.rscript(code, cpus=0.4).text())
    assert used < 0.55


def test_cpus_that_are_lent_are_a_limit_and_there_on_a_machine_that_is_full(lab: Lab) -> None:
    offer = lab.backend.offers()[0]
    whole = lab.attempt(["sleep", "600"], cpus=offer.cpus)
    whole.launch()
    busy = "timeout 2 sh -c 'while :; do :; done'; echo over"
    command = lab.attempt(["/bin/sh", "-c", busy], cpus=0.1, cpus_lent=True, memory=64 * MIB)
    command.spec = replace(command.spec, machine=whole.spec.machine, node=whole.spec.node)
    command.launch()
    assert command.ended().exit_code == 0
    assert command.log() == b"over\n"
    record = command.record()
    assert 0 < record["user_seconds"] + record["system_seconds"] < 0.6
    assert whole.status().life is Life.RUNNING


def test_a_fork_bomb_stays_inside(lab: Lab) -> None:
    bomb = "i=0; while [ $i -lt 5000 ]; do sleep 600 & i=$((i+1)); done; echo all"
    attempt = lab.attempt(["/bin/sh", "-c", bomb], memory=1024 * MIB, cpus=2)
    attempt.launch()
    status = attempt.ended(within=60)
    assert status.exit_code != 0
    assert b"all" not in attempt.log()


def test_offers(lab: Lab) -> None:
    offer = lab.backend.offers()[0]
    assert offer.machine
    assert offer.cpus >= 1
    assert offer.memory > 256 * MIB


def test_health(lab: Lab) -> None:
    health = lab.backend.health()
    assert health.ok, health.sentence
    assert health.version
    assert lab.backend.capabilities.memory == "cgroup"
    assert lab.backend.capabilities.network == "full"
