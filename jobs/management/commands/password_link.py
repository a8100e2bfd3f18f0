"""A link with which somebody chooses a password, made on the machine itself: for who is locked out."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import origins
from accounts.models import User
from jobs.services import Refused, people


class Command(BaseCommand):
    help = (
        "Make a link with which a person chooses a password, once; the present one is worth nothing "
        "from then on. Prints one JSON object: username, path, days."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "username", nargs="?", default="", help="default: the first administrator"
        )
        parser.add_argument(
            "--administrator",
            action="store_true",
            help="make this person an administrator first, switched on, new if there is none",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["username"]
        if options["administrator"]:
            if not name:
                raise CommandError("Name the person who is to be an administrator.")
            person: User | None = _administrator(name)
        elif name:
            person = people.people().filter(username=name).first()
        else:
            staff = people.people().filter(is_staff=True, is_active=True)
            person = staff.order_by("pk").first()
        if person is None:
            raise CommandError(
                f"There is no user {name}."
                if name
                else "There is no administrator. Make one: ./rcluster password USER --administrator"
            )
        self.stdout.write(json.dumps(_link(person)))


def _administrator(username: str) -> User:
    try:
        with origins.command():
            return people.make_administrator(username)
    except Refused as refused:
        raise CommandError(str(refused)) from refused


def _link(person: User) -> dict[str, str | int]:
    try:
        with origins.command():
            path = people.password_link(by=None, person=person)
    except Refused as refused:
        raise CommandError(str(refused)) from refused
    return {
        "username": person.get_username(),
        "path": path,
        "days": people.link_lasts().days,
    }
