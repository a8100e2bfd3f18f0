"""A small synchronous Mesos framework over the v1 scheduler API, for looking at the lab itself."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self, TypeVar

from jobs.backends.http_parser import HttpParser

T = TypeVar("T")
Json = dict[str, Any]


class Refused(Exception):
    """The master's own words."""


class Framework:
    """Subscribes on entry and is torn down on exit. Nothing happens but in calls to `until()`."""

    def __init__(
        self, master: str, *, principal: str = "", secret: str = "", checkpoint: bool = True
    ) -> None:
        host, _, port = master.partition(":")
        self._address = (host, int(port))
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if principal:
            pair = base64.b64encode(f"{principal}:{secret}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self.info: Json = {
            "user": "root",
            "name": "lab-test",
            "roles": ["*"],
            "checkpoint": checkpoint,
            "failover_timeout": 60,
            "capabilities": [
                {"type": "MULTI_ROLE"},
                {"type": "PARTITION_AWARE"},
                {"type": "TASK_KILLING_STATE"},
            ],
        }
        if principal:
            self.info["principal"] = principal
        self.offers: dict[str, Json] = {}
        self.updates: dict[str, list[Json]] = defaultdict(list)
        """Statuses by task, in order of arrival."""
        self._agents: dict[str, str] = {}
        self._subscription: http.client.HTTPConnection | None = None
        self._parser = HttpParser()
        self._records = b""
        self._stream_id = ""

    def __enter__(self) -> Self:
        self.subscribe()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream_id:
            self.call({"type": "TEARDOWN"})
        self.close()

    def subscribe(self) -> None:
        self.close()
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}}
        if "id" in self.info:
            body["framework_id"] = self.info["id"]
        connection = http.client.HTTPConnection(*self._address, timeout=10)
        connection.request("POST", "/api/v1/scheduler", json.dumps(body), self._headers)
        self._subscription = connection
        self._parser, self._records = HttpParser(), b""
        self.until(self._parser.is_headers_complete, "an answer to SUBSCRIBE")
        if self._parser.get_status_code() != 200:
            self.close()
            raise Refused(f"{self._parser.get_status_code()}: {self._parser.recv_body().decode()}")
        self._stream_id = self._parser.get_headers()["Mesos-Stream-Id"]
        self.until(lambda: "id" in self.info, "SUBSCRIBED")

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def call(self, call: Json) -> None:
        headers = self._headers | {"Mesos-Stream-Id": self._stream_id}
        connection = http.client.HTTPConnection(*self._address, timeout=10)
        try:
            body = json.dumps(call | {"framework_id": self.info["id"]})
            connection.request("POST", "/api/v1/scheduler", body, headers)
            answer = connection.getresponse()
            if answer.status != 202:
                raise Refused(f"{answer.status}: {answer.read().decode()}")
        finally:
            connection.close()

    def until(self, condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
        """Handle events until the condition is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
            self._read()
        return value

    def state(self, task: str, *states: str, seconds: float = 30.0) -> Json:
        """Wait for the task's first status in one of the states."""

        def found() -> Json | None:
            return next((each for each in self.updates[task] if each["state"] in states), None)

        return self.until(found, f"{task} {'/'.join(states)}", seconds) or {}

    def states(self, task: str) -> list[str]:
        return [each["state"] for each in self.updates[task]]

    def launch(
        self, task: str, *, on: str = "", cpus: float = 0.1, mem: int = 32, **info: Any
    ) -> None:
        """`on`: the agent's host name; else any. `info`: fields of TaskInfo."""

        def fits() -> Json | None:
            for offer in self.offers.values():
                if on in ("", offer["hostname"]):
                    return offer
            return None

        offer = self.until(fits, f"an offer of {on or 'any agent'}") or {}
        del self.offers[offer["id"]["value"]]
        self._agents[task] = offer["agent_id"]["value"]
        role = {"allocation_info": {"role": "*"}}
        description = info | {
            "name": task,
            "task_id": {"value": task},
            "agent_id": offer["agent_id"],
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}} | role,
                {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}} | role,
            ],
        }
        accept = {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [description]}}],
            "filters": {"refuse_seconds": 0},
        }
        self.call({"type": "ACCEPT", "accept": accept})

    def kill(self, task: str, grace: float | None = None) -> None:
        kill: Json = {"task_id": {"value": task}}
        if grace is not None:
            kill["kill_policy"] = {"grace_period": {"nanoseconds": int(grace * 1e9)}}
        self.call({"type": "KILL", "kill": kill})

    def _read(self) -> None:
        assert self._subscription is not None
        sock: socket.socket = self._subscription.sock
        sock.settimeout(0.2)
        try:
            data = sock.recv(4096)
        except TimeoutError:
            return
        if not data:
            raise ConnectionError("the master hung up")
        assert self._parser.execute(data, len(data)) == len(data)
        if self._parser.get_status_code() != 200:
            return
        self._records += self._parser.recv_body()
        while b"\n" in self._records:
            size, rest = self._records.split(b"\n", 1)
            if len(rest) < int(size):
                return
            self._records = rest[int(size) :]
            self._event(json.loads(rest[: int(size)]))

    def _event(self, event: Json) -> None:
        kind = event["type"]
        if kind == "SUBSCRIBED":
            self.info["id"] = event["subscribed"]["framework_id"]
        elif kind == "OFFERS":
            self.offers |= {each["id"]["value"]: each for each in event["offers"]["offers"]}
        elif kind == "RESCIND":
            self.offers.pop(event["rescind"]["offer_id"]["value"], None)
        elif kind == "UPDATE":
            status = event["update"]["status"]
            task = status["task_id"]["value"]
            self.updates[task].append(status)
            if "uuid" in status:
                acknowledged = {
                    "agent_id": status["agent_id"],
                    "task_id": status["task_id"],
                    "uuid": status["uuid"],
                }
                self.call({"type": "ACKNOWLEDGE", "acknowledge": acknowledged})
        elif kind == "ERROR":
            raise Refused(event["error"]["message"])
