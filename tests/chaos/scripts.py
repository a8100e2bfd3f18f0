"""What the Runs of the suite do, and byte for byte what they print.

Each first appends a line to a file of its own, which is its work: two lines are work done twice.
All lines that a script prints differ, so that one which was doubled shows.
"""

from __future__ import annotations

from dataclasses import dataclass

WORK = (
    '{ echo "$RCLUSTER_ATTEMPT" >>"/output/done.$RCLUSTER_RUN"; } 2>/dev/null || echo refused\n'
    "echo started\n"
)
REFUSED = b"refused\n"
"""printed when the full disk refused the line"""
SHORT, LONG = 200, 3000
"""lines"""


@dataclass(frozen=True)
class Script:
    name: str
    command: str
    output: bytes
    """all that it prints when nothing ends it early"""


def _numbers(first: int, last: int) -> bytes:
    return b"".join(b"line %d of a Run's log\n" % i for i in range(first, last + 1))


_PRINT_SHORT = f"""seq -f "line %.0f of a Run's log" 1 {SHORT}; echo end"""

QUICK = Script("quick", WORK + _PRINT_SHORT, b"started\n" + _numbers(1, SHORT) + b"end\n")


def gated(gate: str) -> Script:
    """Goes on when code/<gate> is there."""
    return Script(
        "gated",
        f"{WORK}until [ -e /code/{gate} ]; do sleep 0.02; done\n{_PRINT_SHORT}",
        QUICK.output,
    )


def timed(seconds: float) -> Script:
    return Script("timed", f"{WORK}sleep {seconds:g}\n{_PRINT_SHORT}", QUICK.output)


PRINTING = Script(
    "printing",
    WORK + "block=0\n"
    "while [ $block -lt 60 ]; do\n"
    """  seq -f "line %.0f of a Run's log" $((block * 50 + 1)) $((block * 50 + 50))\n"""
    "  sleep 0.03; block=$((block + 1))\n"
    "done; echo end",
    b"started\n" + _numbers(1, LONG) + b"end\n",
)
STOPPING = Script(
    "stopping",
    # The shell would tell of its sleep's end by TERM.
    WORK + "exec 2>/dev/null\n"
    """trap 'trap "" TERM; echo caught; sleep 1; echo bye; exit 0' TERM\n"""
    "echo waiting; tick=0\n"
    "while [ $tick -lt 1800 ]; do sleep 0.1; tick=$((tick + 1)); done; echo nobody came",
    b"started\nwaiting\ncaught\nbye\n",
)
"""Takes a second to end when it is asked to."""
