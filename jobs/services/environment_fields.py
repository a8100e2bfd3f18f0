"""What people write into an Environment, checked: each value as the row keeps it, or Refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.utils.text import slugify

from jobs import constraints
from jobs.backends import images
from jobs.backends.base import ImageNotFound
from jobs.models import Environment, PullPolicy
from jobs.services.refused import Refused

FIELDS = frozenset({"name", "description", "image", "pull_policy", "constraints", "packages"})
MOST_PACKAGES = 200
LONGEST_DESCRIPTION = 2000

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,98}[A-Za-z0-9]")
_SLUG = re.compile(r"[-a-z0-9_]{1,50}")
_TAKEN = frozenset({"new", "now"})
"""by pages of their own"""
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]*")


def package_names(written: str | Iterable[str]) -> list[str]:
    """Packages as somebody typed them, with blanks or commas between them; each once."""
    names = re.split(r"[\s,]+", written.strip()) if isinstance(written, str) else list(written)
    found = list(dict.fromkeys(name for name in names if name))
    for name in found:
        if not _PACKAGE.fullmatch(name):
            raise Refused(f"“{name[:100]}” is no name of an R package.", field="packages")
    if len(found) > MOST_PACKAGES:
        raise Refused(f"Name at most {MOST_PACKAGES} packages.", field="packages")
    return found


def set_fields(environment: Environment, changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if key == "name":
            environment.name = _name(value, environment)
        elif key == "description":
            environment.description = _description(value)
        elif key == "image":
            environment.image = _image(value, environment)
        elif key == "pull_policy":
            if value not in PullPolicy.values:
                raise Refused("Choose always, missing or never.", field="pull_policy")
            environment.pull_policy = value
        elif key == "packages":
            environment.packages = package_names(value)
        elif key == "constraints":
            try:
                environment.constraints = constraints.text(constraints.parse(value))
            except constraints.BadConstraints as error:
                raise Refused(str(error), field="constraints") from error
        else:
            raise TypeError(f"an Environment has no setting {key}")


def _name(value: str, environment: Environment) -> str:
    name = " ".join(value.split())
    if not name or not name.isprintable():
        raise Refused("Give the Environment a name.", field="name")
    if len(name) > 100:
        raise Refused("Use at most 100 characters for the name.", field="name")
    if Environment.objects.filter(name=name).exclude(pk=environment.pk).exists():
        raise Refused(f"There is an Environment “{name}” already.", field="name")
    return name


def _description(value: str) -> str:
    text = value.strip()
    if "\0" in text or len(text) > LONGEST_DESCRIPTION:
        raise Refused(f"Use at most {LONGEST_DESCRIPTION} characters of text.", field="description")
    return text


def _image(value: str, environment: Environment) -> str:
    image = value.strip()
    if not environment.uses_image:
        if image:
            raise Refused(
                "Leave the image empty: this Environment is the machine's own R.", field="image"
            )
        return ""
    if "://" in image:
        raise Refused("Write the image without http:// or https://.", field="image")
    if len(image) > 500 or not _IMAGE.fullmatch(image):
        raise Refused("Name the image, for example registry.example.org/team/r:4.4.", field="image")
    if not images.is_id(image):
        try:
            images.place(image)
        except ImageNotFound as error:
            raise Refused(
                f"{error} Write registry/name:tag, for example registry.example.org/team/r:4.4.",
                field="image",
            ) from error
    return image


def new_slug(given: str, name: str) -> str:
    """The id in addresses and the API: the one that is asked for, or made from the name."""
    if given:
        if not _SLUG.fullmatch(given):
            raise Refused("Use at most 50 small letters, digits, - and _ for the id.", field="id")
        if Environment.objects.filter(slug=given).exists() or given in _TAKEN:
            raise Refused(f"There is an Environment with the id “{given}” already.", field="id")
        return given
    base = slugify(name)[:45] or "environment"
    taken = {
        "new",
        *Environment.objects.filter(slug__startswith=base).values_list("slug", flat=True),
    }
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in (base, *numbered) if slug not in taken)
