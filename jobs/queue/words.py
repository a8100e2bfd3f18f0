"""Amounts and reasons as people say them."""

from __future__ import annotations

from collections.abc import Mapping


def amount(cpus: float) -> str:
    """1 CPU, 2.5 CPUs"""
    text = f"{cpus:.2f}".rstrip("0").rstrip(".")
    return f"{text} CPU" if text == "1" else f"{text} CPUs"


def size(count: int) -> str:
    """512 MB, 1.5 GB: powers of 1024 under their usual names."""
    if count >= 1024**3:
        return f"{count / 1024**3:.1f}".removesuffix(".0") + " GB"
    if count >= 1024**2:
        return f"{count / 1024**2:.0f} MB"
    return f"{count / 1024:.0f} kB"


def resources(amounts: Mapping[str, float]) -> str:
    """2 CPUs and 4 GB"""
    words = [_resource(name, max(0.0, count)) for name, count in amounts.items()]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _resource(name: str, count: float) -> str:
    if name == "cpus":
        return amount(count)
    if name == "memory":
        return size(int(count))
    return f"{count:g} {name}"


def runs(count: int) -> str:
    return f"{count} Run" if count == 1 else f"{count} Runs"
