"""Other people of the portal that the browser tests share, and their browsers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.screenshots import sign_in
from tests.factories import PASSWORD
from tests.portal import Portal


def make_people(portal: Portal, *names: str, max_storage: int | None = None) -> None:
    """Accounts with PASSWORD; safe to repeat. `max_storage`: their quota in bytes."""
    portal.manage(
        "shell",
        "-c",
        "from accounts.models import User\n"
        "from jobs.models import UserLimits\n"
        f"for name in {names!r}:\n"
        "    user, new = User.objects.get_or_create(username=name)\n"
        "    if new:\n"
        f"        user.set_password({PASSWORD!r}); user.save()\n"
        f"    if {max_storage!r}:\n"
        f"        UserLimits.objects.update_or_create(user=user, defaults={{'max_storage': {max_storage!r}}})\n",
    )


def is_complaint(message: ConsoleMessage) -> bool:
    """An error in the browser's console, but for requests that Chromium cut short because a network
    interface of this machine came or went, as one does with every container of a Docker engine."""
    return message.type == "error" and "net::ERR_NETWORK_CHANGED" not in message.text


@contextmanager
def signed_in(browser: Browser, portal: Portal, username: str) -> Iterator[Page]:
    """A browser of their own."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(30_000)
    page = context.new_page()
    sign_in(page, portal.url, username, PASSWORD)
    try:
        yield page
    finally:
        context.close()
