"""supervisord's configuration says what the design asks for, and supervisord understands it."""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable

import pytest
from supervisor.options import ServerOptions

from deploy.portal import supervisor
from deploy.portal.place import Place
from deploy.portal.problem import Problem

MakePlace = Callable[..., Place]


def _parsed(place: Place) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(supervisor.configuration(place))
    return parser


def test_every_process_comes_back_and_none_listens_on_tcp_but_web(make_place: MakePlace) -> None:
    parsed = _parsed(make_place())
    names = {s.partition(":")[2] for s in parsed.sections() if s.startswith("program:")}
    assert names == {"valkey", "web", "backend", "worker", "beat"}
    assert "inet_http_server" not in parsed.sections()
    for name in names:
        assert parsed[f"program:{name}"]["autorestart"] == "true"
        assert int(parsed[f"program:{name}"]["startretries"]) > 10**6
    assert "--port 0 " in parsed["program:valkey"]["command"]
    assert parsed["unix_http_server"]["chmod"] == "0700"


def test_runs_outlive_the_backend_worker(make_place: MakePlace) -> None:
    backend = _parsed(make_place())["program:backend"]
    assert backend["killasgroup"] == "false"
    assert backend["stopasgroup"] == "false"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to another user")
def test_root_keeps_only_the_backend_worker(make_place: MakePlace) -> None:
    place = make_place()
    parsed = _parsed(place)
    for section in parsed.sections():
        if section.startswith("program:"):
            user = parsed[section].get("user")
            assert user == (None if section == "program:backend" else place.owner.name)


def test_supervisord_itself_understands_spaces(make_place: MakePlace) -> None:
    place = make_place()
    odd = Place.of({**place.variables, "RCLUSTER_HOME": f"{place.home} of R"})
    odd.control.mkdir(parents=True)
    odd.logs.mkdir()
    config = odd.control / "supervisord.conf"
    config.write_text(supervisor.configuration(odd))
    options = ServerOptions()
    options.realize(["--configuration", str(config)])
    commands = {c.name: c.command for g in options.process_group_configs for c in g.process_configs}
    assert f"'{odd.settings.redis_socket}'" in commands["valkey"]
    assert "worker@%h" in commands["worker"]


def test_nobody_is_believed_where_a_request_comes_from_but_the_proxy(make_place: MakePlace) -> None:
    def web(**settings: str) -> str:
        return str(_parsed(make_place(**settings))["program:web"]["command"])

    for settings in ({}, {"RCLUSTER_HTTPS": "1"}):
        assert " --no-proxy-headers" in web(**settings)
    told = web(RCLUSTER_PROXY="127.0.0.1, 10.0.0.0/28")
    assert " --proxy-headers --forwarded-allow-ips 127.0.0.1,10.0.0.0/28" in told


def test_an_external_redis_means_none_of_ours(make_place: MakePlace) -> None:
    place = make_place(RCLUSTER_REDIS_SOCKET="/run/redis/redis.sock")
    assert "valkey" not in {program.name for program in supervisor.programs(place)}


def test_nothing_runs_where_nothing_was_started(make_place: MakePlace) -> None:
    place = make_place()
    assert supervisor.states(place) == []
    assert not supervisor.is_running(place)
    with pytest.raises(Problem, match="does not answer"), supervisor.control(place) as rpc:
        rpc.getState()
