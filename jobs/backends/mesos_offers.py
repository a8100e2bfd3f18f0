"""Offers in hand: what each machine gives us now, and which parts of it a task takes. Pure.

Mesos may send several offers of one machine; all that we hold of it is used together. An offer is
spent whole when anything of it is accepted: what was left comes back as a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MIB = 1024**2
UNITS = 1000
"""Mesos keeps scalars with three decimals; counted in thousandths, sums are exact."""
DEFAULT_PORT = 5051

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Amount:
    """CPUs and MB of memory, in thousandths."""

    cpus: int = 0
    mem: int = 0

    @classmethod
    def asked(cls, cpus: float, memory: int) -> Amount:
        """What a Run of so many CPUs and bytes takes: never less than it asked for."""
        return cls(_up(cpus), _up(memory / MIB))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpus + other.cpus, self.mem + other.mem)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpus - other.cpus, self.mem - other.mem)

    def holds(self, other: Amount) -> bool:
        return self.cpus >= other.cpus and self.mem >= other.mem

    @property
    def memory(self) -> int:
        """bytes"""
        return self.mem * MIB // UNITS


def _up(value: float) -> int:
    return math.ceil(value * UNITS - 1e-6)


@dataclass(frozen=True)
class Agent:
    """A machine as its offers describe it."""

    node: str
    """Mesos' id of the agent; a machine that starts afresh gets a new one"""
    name: str
    address: str
    """host:port of its HTTP API"""
    attributes: Mapping[str, str] = field(default_factory=dict)


def machine_name(hostname: str, port: int) -> str:
    """The host's name; with the port where several agents may share a host."""
    return hostname if port == DEFAULT_PORT else f"{hostname}:{port}"


def attributes_of(listed: Iterable[Json]) -> dict[str, str]:
    """An agent's attributes as text, whatever their Mesos type."""
    found = {}
    for each in listed:
        value = each.get("text") or each.get("scalar") or {}
        if "value" in value:
            plain = value["value"]
            found[str(each["name"])] = f"{plain:g}" if isinstance(plain, float) else str(plain)
    return found


class OfferBook:
    """The offers in hand, by machine. Not thread-safe: its owner holds a lock."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._offers: dict[str, dict[str, tuple[Json, float]]] = {}
        """node -> offer id -> (offer, when it came)"""
        self._node_of: dict[str, str] = {}
        self.agents: dict[str, Agent] = {}
        """every machine that ever offered, by node"""
        self._free: dict[str, Amount] = {}
        """node -> what our offers of it add up to"""

    def __len__(self) -> int:
        return len(self._node_of)

    def add(self, offer: Json, now: float) -> None:
        node, offer_id = offer["agent_id"]["value"], offer["id"]["value"]
        address = offer.get("url", {}).get("address", {})
        port = int(address.get("port", DEFAULT_PORT))
        self.agents[node] = Agent(
            node,
            machine_name(offer["hostname"], port),
            f"{address.get('ip') or offer['hostname']}:{port}",
            attributes_of(offer.get("attributes", ())),
        )
        self._offers.setdefault(node, {})[offer_id] = offer, now
        self._node_of[offer_id] = node
        self._free[node] = self._free.get(node, Amount()) + self._usable(offer)

    def drop(self, offer_id: str) -> None:
        """It was rescinded, spent or declined. Unknown ids are ignored."""
        node = self._node_of.pop(offer_id, None)
        if node is None:
            return
        offer, _ = self._offers[node].pop(offer_id)
        self._free[node] -= self._usable(offer)
        if not self._offers[node]:
            del self._offers[node], self._free[node]

    def clear(self) -> None:
        """The connection is gone, and with it every offer."""
        self._offers.clear()
        self._node_of.clear()
        self._free.clear()

    def free(self, node: str) -> Amount:
        return self._free.get(node, Amount())

    def nodes(self) -> list[str]:
        """Those with an offer in hand."""
        return list(self._offers)

    def of(self, node: str) -> list[str]:
        """Ids of the offers of one machine."""
        return list(self._offers.get(node, ()))

    def older_than(self, moment: float) -> list[str]:
        """Ids of offers that came before `moment`."""
        return [
            offer_id
            for offers in self._offers.values()
            for offer_id, (_, came) in offers.items()
            if came <= moment
        ]

    def take(
        self, node: str, wants: Sequence[Amount]
    ) -> tuple[list[str], list[list[dict[str, Any]] | None]]:
        """Spend what we hold of `node`: offer ids, and for each want its resources, in order.

        None stands for a want that did not fit. Where none fits nothing is spent.
        """
        offers = self._offers.get(node, {})
        pieces = [
            _Piece(resource, _thousandths(resource))
            for offer, _ in offers.values()
            for resource in offer.get("resources", ())
            if self._is_ours(resource)
        ]
        # What is reserved for us first: the rest may be of use to others.
        pieces.sort(key=lambda piece: not piece.resource.get("reservations"))
        given: list[list[dict[str, Any]] | None] = []
        free = self.free(node)
        for want in wants:
            if free.holds(want):
                free -= want
                given.append(_carve(pieces, "cpus", want.cpus) + _carve(pieces, "mem", want.mem))
            else:
                given.append(None)
        if not any(given):
            return [], given
        ids = list(offers)
        for offer_id in ids:
            self.drop(offer_id)
        return ids, given

    def _usable(self, offer: Json) -> Amount:
        found = {"cpus": 0, "mem": 0}
        for resource in offer.get("resources", ()):
            if self._is_ours(resource):
                found[resource["name"]] += _thousandths(resource)
        return Amount(found["cpus"], found["mem"])

    def _is_ours(self, resource: Json) -> bool:
        """CPUs and memory that are free for all or reserved for our role, and that stay ours."""
        if resource["name"] not in ("cpus", "mem") or resource["type"] != "SCALAR":
            return False
        if resource.get("revocable") is not None or resource.get("provider_id") is not None:
            return False
        reservations = resource.get("reservations") or ()
        return not reservations or reservations[-1].get("role") == self._role


@dataclass
class _Piece:
    resource: Json
    left: int


def _thousandths(resource: Json) -> int:
    return round(float(resource["scalar"]["value"]) * UNITS)


def _carve(pieces: Iterable[_Piece], name: str, amount: int) -> list[dict[str, Any]]:
    """`amount` thousandths of `name` out of the pieces, which shrink."""
    carved = []
    for piece in pieces:
        if amount and piece.left and piece.resource["name"] == name:
            taken = min(amount, piece.left)
            piece.left -= taken
            amount -= taken
            carved.append({**piece.resource, "scalar": {"value": taken / UNITS}})
    return carved
