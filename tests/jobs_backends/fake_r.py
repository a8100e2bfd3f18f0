"""Images whose Rscript is a static program of a few lines, so that a registry serves them in no time,
and a line to a registry that is slow, so that pulling one can be watched."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tarfile
import threading
import uuid

from tests.contract.registry import Images, docker

RSCRIPT = """\
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
  printf("%s begins\\n"); fflush(stdout);
  if (count > 1 && strstr(words[1], "wait")) while (access("/code/go", F_OK)) usleep(20000);
  printf("%s ends\\n");
  return 0;
}
"""


class FakeR(Images):
    """Its Rscript prints `<word> begins`; if the script is called wait... it waits for /code/go."""

    ballast = 0
    """bytes of random data beside it"""

    def make(self, reference: str, word: str) -> str:
        source = self._folder / f"{uuid.uuid4().hex}.c"
        source.write_text(RSCRIPT.replace("%s", word))
        program, tar = source.with_suffix(""), source.with_suffix(".tar")
        subprocess.run(["gcc", "-static", "-Os", "-o", program, source], check=True, timeout=60)
        with tarfile.open(tar, "w") as archive:
            archive.add(program, "usr/bin/Rscript")
            if self.ballast:
                heavy = source.with_suffix(".bin")
                heavy.write_bytes(os.urandom(self.ballast))
                archive.add(heavy, "ballast")
        image = docker("import", str(tar), reference)
        self._made += [reference, image]
        return image


class SlowLine:
    """Passes on what a server of this machine says, at most `rate` bytes a second until hurry()."""

    def __init__(self, port: int, rate: float) -> None:
        self._target, self._rate = port, rate
        self._hurried = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hurry(self) -> None:
        """The rest as fast as it can: what was to be seen on the way was seen."""
        self._hurried.set()

    def close(self) -> None:
        # Wakes the thread that accepts, which close() alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for source, sink, rate in ((client, server, 0.0), (server, client, self._rate)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, rate), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, rate: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
                if rate:
                    self._hurried.wait(len(data) / rate)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        sink.close()
