"""In every guest: runs commands for the host. One connection each, see handle()."""

from __future__ import annotations

import json
import socketserver
import subprocess
import time

PORT = 9000


class Connection(socketserver.StreamRequestHandler):
    rbufsize = 0
    """Not a byte behind the request may be taken from the command."""

    def handle(self) -> None:
        r"""The first line says what is wanted.

        "clock\n": nanoseconds of this guest's monotonic clock, a line each time it is asked.
        {"run": [...], "timeout": s}: answered by {"status", "output", "errors"}; 124 is a timeout.
        {"talk": [...]}: from here on the connection is the command's stdin and stdout.
        """
        line = self.rfile.readline()
        while line == b"clock\n":
            self.wfile.write(b"%d\n" % time.monotonic_ns())
            line = self.rfile.readline()
        if not line:
            return
        request = json.loads(line)
        if "talk" in request:
            subprocess.run(
                request["talk"], stdin=self.connection, stdout=self.connection, check=False
            )
            return
        self.wfile.write(json.dumps(self.answer(request)).encode() + b"\n")

    @staticmethod
    def answer(request: dict[str, object]) -> dict[str, object]:
        command, timeout = request["run"], request["timeout"]
        assert isinstance(command, list)
        assert isinstance(timeout, int | float)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"status": 124, "output": "", "errors": f"not done within {timeout} s"}
        return {"status": done.returncode, "output": done.stdout, "errors": done.stderr}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("0.0.0.0", PORT), Connection).serve_forever()  # noqa: S104 - the lab's own network
