"""What a browser, curl or R receives is byte for byte what the script printed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from socket import SHUT_RDWR

import pytest

from tests.client import Client, Piece, frames
from tests.portal import Portal

pytestmark = [pytest.mark.local, pytest.mark.slow]

LINES = 200_000
SCRIPT = f"""
for (chunk in 0:199) {{
  i <- chunk * {LINES // 200} + seq_len({LINES // 200})
  cat(sprintf("%07d \\u00e9\\u4e16 %s\\n", i, strrep("x", i %% 60)), sep = "")
  if (chunk %% 20 == 0) Sys.sleep(0.05)
}}
"""


@pytest.fixture(scope="module")
def client(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("fidelity"))
    yield client
    client.close()


def cut_and_resume(client: Client, run: str, cuts: int) -> bytes:
    """Everything through the socket, which is cut `cuts` times and resumed where it stopped."""
    received = bytearray()
    attempt = 0
    for cut in range(cuts + 1):
        quota = (cut + 1) * 1_000_000 if cut < cuts else None
        ended = False
        with client.socket(run, attempt=attempt, offset=len(received)) as socket:
            for frame in frames(socket):
                if isinstance(frame, Piece):
                    assert frame.offset == len(received)
                    received += frame.data
                elif frame["type"] == "state":
                    attempt = frame["attempt"]
                elif frame["type"] == "end":
                    assert frame["size"] == len(received)
                    ended = True
                if quota is not None and len(received) >= quota:
                    # No closing handshake: the line is cut, as by a closed lid.
                    socket.socket.shutdown(SHUT_RDWR)
                    break
        assert ended == (quota is None)
    return bytes(received)


def test_200000_lines_through_five_cuts(client: Client) -> None:
    task = client.create_task("Fidelity")
    client.put_file(task, "code/lines.R", SCRIPT.encode())
    with ThreadPoolExecutor() as pool:
        run = client.submit(task, kind="script", script_path="lines.R")
        socket = pool.submit(cut_and_resume, client, run, 5)
        curl = pool.submit(
            lambda: (
                client.http.get(f"/runs/{run}/log", params={"follow": 1}).raise_for_status().content
            )
        )
        received, streamed = socket.result(), curl.result()
    assert client.wait_for_end(run)["state"] == "succeeded"
    bare = subprocess.run(
        ["Rscript", "-e", SCRIPT],
        capture_output=True,
        check=True,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert bare.count(b"\n") == LINES
    assert received == bare
    assert streamed == bare
    assert client.log(run) == bare
    assert client.run(run)["log_size"] == len(bare)
    part = client.http.get(f"/runs/{run}/log", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, bare[1000:2000])


def test_bytes_that_are_no_text_come_through(client: Client) -> None:
    task = client.create_task("Bytes")
    command = r"""printf '\000\377\r50%%\r100%%\033[31mred\033[0m\n'; head -c 70000 /dev/zero"""
    run = client.command(task, command)
    received = b"".join(frame.data for frame in client.follow(run) if isinstance(frame, Piece))
    assert received == b"\x00\xff\r50%\r100%\x1b[31mred\x1b[0m\n" + bytes(70_000)


def test_lines_arrive_while_the_script_runs(client: Client) -> None:
    task = client.create_task("Live")
    run = client.command(
        task, "echo first; while [ ! -e /code/go ]; do sleep 0.05; done; echo second"
    )
    frames = client.follow(run)
    first = next(frame for frame in frames if isinstance(frame, Piece))
    assert first.data == b"first\n"
    assert client.run(run)["state"] == "running"
    client.put_file(task, "code/go", b"")
    rest = list(frames)
    assert [frame.data for frame in rest if isinstance(frame, Piece)] == [b"second\n"]
    assert isinstance(rest[-1], dict)
    assert (rest[-1]["type"], rest[-1]["state"], rest[-1]["size"]) == ("end", "succeeded", 13)
