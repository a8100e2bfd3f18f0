"""The record of a leading master, in Debian's ZooKeeper: Mesos' own agents read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from deploy.mesos.lab import Lab
from deploy.mesos.lab.zookeeper import ZooKeeper, publish_in_zookeeper
from tests.mesos.conftest import make_lab
from tests.waiting import until

pytestmark = pytest.mark.mesos


def records(zookeeper: ZooKeeper) -> dict[str, dict[str, object]]:
    client = KazooClient(hosts=zookeeper.address)
    client.start(timeout=10)
    try:
        names = client.get_children("/mesos")
        return {name: json.loads(client.get(f"/mesos/{name}")[0]) for name in names}
    finally:
        client.stop()
        client.close()


def test_agents_follow_the_record_to_a_master_that_was_away(tmp_path: Path) -> None:
    zookeeper = ZooKeeper(tmp_path / "zookeeper", Lab.free_port(0))
    lab = make_lab("lab-zk", agents=1, agent_flags={"master": zookeeper.url()})
    with zookeeper.running():
        try:
            lab.start("master")
            leader = publish_in_zookeeper(zookeeper.url(), lab.master)
            assert leader.path == "/mesos/json.info_0000000000"
            record = records(zookeeper)["json.info_0000000000"]
            address = {"hostname": "localhost", "ip": "127.0.0.1", "port": lab.port}
            assert record["address"] == address
            assert record["pid"] == f"master@{lab.master}"
            lab.up()
            assert lab.active() == {"agent1"}

            lab.kill("master")
            leader.resign()
            assert records(zookeeper) == {}
            lab.start("master")
            # The second election: the next number.
            leader = publish_in_zookeeper(zookeeper.url(), lab.master)
            assert leader.path == "/mesos/json.info_0000000001"
            until(lambda: lab.active() == {"agent1"}, "the agent's return")
            leader.resign()
        finally:
            lab.down(hard=True)
    assert zookeeper.pid is None


def test_it_remembers_over_a_kill(tmp_path: Path) -> None:
    zookeeper = ZooKeeper(tmp_path / "zookeeper", Lab.free_port(0))
    try:
        zookeeper.start()
        client = KazooClient(hosts=zookeeper.address)
        client.start(timeout=10)
        client.create("/kept", b"value")
        client.stop()
        client.close()
        zookeeper.kill()
        assert zookeeper.pid is None
        zookeeper.start()
        client = KazooClient(hosts=zookeeper.address)
        client.start(timeout=10)
        assert client.get("/kept")[0] == b"value"
        client.stop()
        client.close()
    finally:
        zookeeper.stop()
