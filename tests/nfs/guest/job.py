"""What the Run prints: `lines SECONDS INTERVAL`, each with its number and the moment it was printed
(nanoseconds of this guest's monotonic clock); or `bulk MIB`, numbered lines of 16 bytes, at once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator


def put(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def lines(seconds: float, interval: float) -> None:
    begin = time.monotonic()
    for number in range(round(seconds / interval)):
        time.sleep(max(0.0, begin + number * interval - time.monotonic()))
        put(b"%06d %d %s\n" % (number, time.monotonic_ns(), b"x" * (number % 61)))


def bulk_lines(mib: int) -> Iterator[bytes]:
    # Of an odd length, so that no write begins where a page does.
    yield b"begin\n"
    for first in range(0, mib << 16, 4096):
        yield b"".join(b"%015d\n" % number for number in range(first, first + 4096))


if __name__ == "__main__":
    if sys.argv[1] == "lines":
        lines(float(sys.argv[2]), float(sys.argv[3]))
    else:
        for chunk in bulk_lines(int(sys.argv[2])):
            put(chunk)
