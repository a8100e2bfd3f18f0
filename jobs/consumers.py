"""WebSockets: one Run with its log, and the changes of all Runs that a person may see."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from django.db import Error as DbError
from redis.exceptions import RedisError
from rest_framework.exceptions import AuthenticationFailed

from accounts import crowds, origins
from accounts.authentication import token_of
from accounts.models import Scope, User
from accounts.standing import LOOK_EVERY, Standing, standing_of
from jobs import notify, watching
from jobs.events import Bytes, End, Event, as_json
from jobs.models import Run, Task, shared_with

NO_SUCH_RUN, NOT_SIGNED_IN, BAD_REQUEST, NOT_ALLOWED = 4404, 4401, 4400, 4403
TRY_AGAIN, TOO_MANY = 1011, 1013
"""close codes: ours, and the standard's for an error of the server and for "try again later"."""
log = logging.getLogger(__name__)


class _LooksAgain:
    """Looks again, as long as the socket is open, whether it would be opened now."""

    _standing: Standing
    _closed = False
    _place: contextlib.ExitStack

    async def __call__(self, *arguments: Any) -> None:
        """All of a socket's life: however it ends, its place is free then."""
        with contextlib.ExitStack() as self._place:
            await super().__call__(*arguments)  # type: ignore[misc] # Channels'

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Once: several may find out at the same time that it is over."""
        if not self._closed:
            self._closed = True
            await super().close(code, reason)  # type: ignore[misc] # Channels'

    def take_place(self) -> bool:
        """False: this person has too many sockets open."""
        try:
            self._place.enter_context(crowds.one_of_few(self._standing.user_pk))
        except crowds.TooManyOpen:
            return False
        return True

    def keep_looking(self) -> None:
        self.until_it_ends(self._look_now_and_then())

    def until_it_ends(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Beside the socket, however that ends."""
        task = asyncio.create_task(work)
        self._place.callback(task.cancel)
        return task

    async def look_again(self) -> None:
        """Close the socket if it would not be opened now."""
        raise NotImplementedError

    async def _look_now_and_then(self) -> None:
        """A token or session that expires tells nobody, and Redis may be away."""
        while True:
            # Not all at once: after a restart hundreds of sockets open in the same second.
            await asyncio.sleep(LOOK_EVERY * random.uniform(0.7, 1.0))  # noqa: S311
            try:
                await self.look_again()
            except DbError as error:
                log.warning("Who has a socket open can't be looked up now: %s", error)

    def refusal(self) -> int:
        """With which code to close it for somebody who would be refused now. A session may only have
        become another, with a new password, say: then the page comes back with the one that its
        browser has by now. Reads the database."""
        if self._standing.token_pk is not None:
            return NOT_SIGNED_IN
        active = User.objects.filter(pk=self._standing.user_pk, is_active=True).exists()
        return TRY_AGAIN if active else NOT_SIGNED_IN


class RunConsumer(_LooksAgain, AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """/ws/runs/<run>/?attempt=A&offset=N: state, log bytes, the end; see jobs/events.py.

    With &skip=1 a client that can't keep up is moved near the end; without, it gets every byte.
    """

    _pump: asyncio.Task[None] | None = None
    _group = ""

    async def connect(self) -> None:
        await self.accept()
        found = await _who_opened(self.scope)
        if isinstance(found, int):
            await self.close(found)
            return
        self._standing = found
        if not self.take_place():
            await self.close(TOO_MANY)
            return
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        try:
            attempt, offset, skip = (_whole(query, name) for name in ("attempt", "offset", "skip"))
        except ValueError:
            await self.close(BAD_REQUEST)
            return
        run = self._run = self.scope["url_route"]["kwargs"]["run"]
        # Before the look: what is taken away in between is told.
        self._group = notify.access_group(found.user_pk)
        try:
            async with asyncio.timeout(notify.PATIENCE):
                await self.channel_layer.group_add(self._group, self.channel_name)
        except (RedisError, OSError) as error:
            # The log needs no Redis; who loses the Run meanwhile loses it with the next connection.
            log.warning("No news for a socket of Run %s: %s", run, error)
        if code := await database_sync_to_async(self._why_not)():
            await self.close(code)
            return
        self._pump = self.until_it_ends(self._send_events(run, attempt, offset, skip=skip > 0))
        self.keep_looking()

    async def access_changed(self, message: dict[str, Any]) -> None:
        """What the person may see is another: this Run still?"""
        await self.look_again()

    async def look_again(self) -> None:
        if code := await database_sync_to_async(self._why_not)():
            if self._pump is not None:
                self._pump.cancel()
            await self.close(code)

    def _why_not(self) -> int:
        """The code to close with; 0: they may see the Run."""
        user = self._standing.person()
        if user is None:
            return self.refusal()
        seen = Run.objects.visible_to(user).filter(public_id=self._run).exists()
        return 0 if seen else NO_SUCH_RUN

    async def disconnect(self, code: int) -> None:
        self._closed = True
        if self._group:
            with contextlib.suppress(RedisError, OSError):
                await self.channel_layer.group_discard(self._group, self.channel_name)
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump

    async def _send_events(self, run: str, attempt: int, offset: int, *, skip: bool) -> None:
        try:
            following = watching.follow(run, attempt=attempt, offset=offset, skip=skip)
            async with aclosing(following) as events:
                async for event in events:
                    await self._send_event(event)
        except Run.DoesNotExist:
            await self.close(NO_SUCH_RUN)
        except Exception:
            # Whatever it was, the page must not wait for ever: it connects anew where it stopped.
            log.exception("Following Run %s failed", run)
            await self.close(TRY_AGAIN)

    async def _send_event(self, event: Event) -> None:
        if isinstance(event, Bytes):
            await self.send(bytes_data=event.frame())
            return
        await self.send(text_data=await AsyncJsonWebsocketConsumer.encode_json(as_json(event)))
        if isinstance(event, End):
            await self.close(1000)


class EventsConsumer(_LooksAgain, AsyncJsonWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """/ws/events/: one line for every change of a Run in the person's own Tasks and in those shared with
    them, and one when it is other Tasks that they may see; so that lists stay fresh."""

    async def connect(self) -> None:
        found = await _who_opened(self.scope)
        self._groups: set[str] = set()
        if isinstance(found, int):
            await self.accept()
            await self.close(found)
            return
        self._standing = found
        if not self.take_place():
            await self.accept()
            await self.close(TOO_MANY)
            return
        # Before the client is told that it is connected: it would miss what happens in between.
        await self._join({notify.access_group(found.user_pk)})
        wanted = await database_sync_to_async(self._wanted)()
        if wanted is not None:
            await self._join(wanted)
        await self.accept()
        if wanted is None:
            await self.close(await database_sync_to_async(self.refusal)())
            return
        self.keep_looking()

    async def receive(self, *_: Any, **__: Any) -> None:
        """Nothing is ever asked here, and what can't be read must not end the socket with a traceback."""

    async def disconnect(self, code: int) -> None:
        self._closed = True
        await self._join(set())

    async def run_changed(self, message: dict[str, Any]) -> None:
        await self.send_json({**message, "type": "run"})

    async def access_changed(self, message: dict[str, Any]) -> None:
        if await self._stays():
            await self.send_json({"type": "access", "task": message["task"]})

    async def look_again(self) -> None:
        await self._stays()

    async def _stays(self) -> bool:
        """In the groups that are the person's now; False: closed, because there is no such person."""
        wanted = await database_sync_to_async(self._wanted)()
        if wanted is None:
            await self._join(set())
            await self.close(await database_sync_to_async(self.refusal)())
            return False
        await self._join(wanted)
        return True

    def _wanted(self) -> set[str] | None:
        """The groups whose news are this person's; None: who opened this would be refused now."""
        user = self._standing.person()
        if user is None:
            return None
        shared = Task.objects.filter(pk__in=shared_with(user), deleted_at__isnull=True)
        tasks = {notify.task_group(each) for each in shared.values_list("public_id", flat=True)}
        return tasks | {notify.access_group(user.pk), notify.user_group(user.pk)}

    async def _join(self, wanted: set[str]) -> None:
        """Be in these groups and in no others."""
        for group in self._groups - wanted:
            await self.channel_layer.group_discard(group, self.channel_name)
        for group in wanted - self._groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self._groups = wanted


async def _who_opened(scope: dict[str, Any]) -> Standing | int:
    """Who opened the socket, by token (a script) or by session (a page); else the code to close with."""
    header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if not header:
        user = scope["user"]
        if not user.is_authenticated:
            return NOT_SIGNED_IN
        return standing_of(user, token=None, session=scope.get("session"))
    try:
        with origins.coming("page", origins.known_address((scope.get("client") or [""])[0])):
            token = await database_sync_to_async(token_of)(header)
    except AuthenticationFailed:
        return NOT_SIGNED_IN
    if token is None:
        return NOT_SIGNED_IN
    if not token.allows(Scope.READ):
        return NOT_ALLOWED
    return standing_of(token.user, token=token, session=None)


def _whole(query: dict[str, list[str]], name: str) -> int:
    value = int(query.get(name, ["0"])[0])
    if not 0 <= value < 2**63:
        raise ValueError(name)
    return value
