"""A command runs: what it prints, what it is given, how it ends."""

from __future__ import annotations

import pytest

from jobs.backends.base import Life, Mount

from .attempt import MIB, Lab


def test_r_runs_and_its_output_is_the_log(lab: Lab) -> None:
    attempt = lab.attempt(["Rscript", "-e", 'cat("hello", 6 * 7, "\\n")'])
    assert lab.backend.status(attempt.handle) is None
    attempt.launch()
    status = attempt.ended()
    assert attempt.log() == b"hello 42 \n"
    assert (status.exit_code, status.out_of_memory, status.error) == (0, False, "")
    assert status.started_at is not None
    assert status.ended_at is not None
    assert 0 < status.ended_at - status.started_at < 20
    assert attempt.record()["phase"] == "ended"
    assert attempt.record()["peak_memory_bytes"] > 5 * MIB


def test_every_byte_arrives_in_order(lab: Lab) -> None:
    code = """
      out <- pipe("cat", "wb"); writeBin(rep(as.raw(0:255), 4000), out); close(out)
      cat(sprintf("line %d of many\\n", 1:200000), sep = "")
      message("and stderr")
    """
    attempt = lab.rscript(code)
    lines = "".join(f"line {n} of many\n" for n in range(1, 200001))
    assert attempt.log() == bytes(range(256)) * 4000 + lines.encode() + b"and stderr\n"


def test_a_script_runs_with_its_arguments(lab: Lab) -> None:
    command = ["Rscript", "/rcluster/script/main.R", "two words", "*"]
    script = b'cat(commandArgs(TRUE), sep = "|")'
    attempt = lab.run(command, script=script)
    assert attempt.log() == b"two words|*"


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["Rscript", "-e", "quit(status = 3)"], 3),
        (["Rscript", "-e", "stop('no')"], 1),
        (["/bin/sh", "-c", "no-such-program"], 127),
        (["/bin/sh", "-c", "kill -9 $$"], 137),
        (["/bin/sh", "-c", "exit 255"], 255),
    ],
)
def test_exit_status(lab: Lab, command: list[str], exit_code: int) -> None:
    attempt = lab.run(command)
    assert attempt.status().exit_code == exit_code
    assert not attempt.status().out_of_memory


def test_standard_input_is_the_attempts_file_or_empty(lab: Lab) -> None:
    code = 'cat(rev(readLines(file("stdin"))), sep = "/")'
    assert lab.rscript(code, stdin=b"one\ntwo\n").log() == b"two/one"
    assert lab.rscript(code).log() == b""


def test_the_folders_of_the_task(lab: Lab) -> None:
    given, shared = lab.root / "given", lab.root / "shared"
    for folder in (given, shared):
        folder.mkdir(parents=True)
    (given / "in.csv").write_text("a,b\n1,2\n")
    lab.give(lab.root)
    attempt = lab.run(
        [
            "/bin/sh",
            "-c",
            "pwd; cat /input/in.csv; echo made > /output/result; echo here > note;"
            " echo bad > /input/in.csv || echo refused; rm -f /input/in.csv || echo refused",
        ],
        mounts=[Mount(given, "/input", read_only=True), Mount(shared, "/output")],
    )
    text = attempt.text()
    assert text.startswith("/code\na,b\n1,2\n")
    assert text.count("refused\n") == 2
    assert (given / "in.csv").read_text() == "a,b\n1,2\n"
    assert (shared / "result").read_text() == "made\n"
    assert (attempt.code / "note").read_text() == "here\n"
    assert (shared / "result").stat().st_uid == lab.uid
    assert (shared / "result").stat().st_mode & 0o777 == 0o644


def test_variables(lab: Lab) -> None:
    attempt = lab.run(
        ["/bin/sh", "-c", "env -0"],
        cpus=1.5,
        variables={"COLOUR": "grün\n=$x", "OMP_NUM_THREADS": "7", "RCLUSTER_RUN": "forged"},
    )
    found = dict(line.split("=", 1) for line in attempt.text().split("\0") if line)
    assert found["COLOUR"] == "grün\n=$x"
    assert found["OMP_NUM_THREADS"] == "7", "the user may choose"
    assert found["RCLUSTER_RUN"] == attempt.spec.run, "who the Run is can't be forged"
    assert (found["MC_CORES"], found["R_PARALLELLY_AVAILABLECORES_FALLBACK"]) == ("2", "2")
    assert (found["HOME"], found["TMPDIR"], found["LANG"]) == ("/tmp", "/tmp", "C.UTF-8")
    assert "RCLUSTER_HOME" not in found, "the portal's own variables stay outside"


def test_r_draws_a_plot_without_a_screen(lab: Lab) -> None:
    attempt = lab.rscript('png("p.png"); plot(1:10, main = "Größe"); invisible(dev.off())')
    assert attempt.status().exit_code == 0, attempt.text()
    assert (attempt.code / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_log_has_a_cap(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "head -c 100000 /dev/zero; exit 5"], log_cap=1000)
    assert attempt.status().exit_code == 5
    assert attempt.log()[:1000] == bytes(1000)
    assert len(attempt.log()) < 1500
    assert attempt.record()["log_dropped"] == 99000


def test_nothing_runs_without_a_permit(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "touch /code/ran; echo ran"], permit=False)
    status = attempt.status()
    assert (status.life, status.exit_code, status.error) == (Life.ENDED, 125, "")
    assert attempt.log() == b""
    assert not (attempt.code / "ran").exists()
