"""The one connection to the Mesos master: made at first use, and whether we are subscribed on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobs.backends.base import BackendUnavailable, Notes, RegistrationRemoved
from jobs.backends.mesos import Connection, Listener
from jobs.backends.mesos_notes import FRAMEWORK, REMOVED, Removal, as_note, removal
from jobs.backends.mesos_operator import Operator
from jobs.backends.mesos_settings import MesosSettings

CONNECT_WITHIN = 3.0


class Link:
    """`changed` guards `since` and `framework_id`, and is told whenever they change."""

    def __init__(
        self,
        settings: MesosSettings,
        notes: Notes,
        changed: threading.Condition,
        listener: Listener,
        *,
        opened: Callable[[], None],
        taken_over: Callable[[], None],
    ) -> None:
        """`opened`: called once, with the first connection. `taken_over`: called under `changed` when
        it is our turn again after another process's."""
        self._settings = settings
        self._notes = notes
        self._changed = changed
        self._listener = listener
        self._opened = opened
        self._taken_over = taken_over
        self._operator: Operator | None = None
        self._closed = False
        self.connection: Connection | None = None
        """None until somebody needs it"""
        self.framework_id = ""
        self.since = 0.0
        """monotonic time of the subscription; 0: not subscribed"""

    @property
    def operator(self) -> Operator:
        """The HTTP API of masters and agents. Raises BackendUnavailable before the first open()."""
        if self._operator is None:
            raise BackendUnavailable("There is no connection to Mesos.")
        return self._operator

    @property
    def is_ours(self) -> bool:
        """Nobody else has taken our place, as far as we were told."""
        return self.connection is not None and not self.connection.stands_down

    def open(self) -> Connection:
        """The connection, made at first use. Raises BackendUnavailable where it can't be made."""
        if removed := removal(self._notes.get(REMOVED)):
            raise RegistrationRemoved(str(removed))
        with self._changed:
            if self.connection is None:
                self.framework_id = self._notes.get(FRAMEWORK)
                credential = self._settings.credential()
                self._operator = Operator(credential)
                self.connection = Connection(
                    self._settings.masters,
                    lambda: self._settings.framework(self.framework_id),
                    self._listener,
                    credential,
                )
                self._opened()
            connection = self.connection
        if connection.stands_down and not self._closed:
            # Another took over meanwhile; that we are asked means that it is our turn again. Or we
            # were removed, and an administrator wants us registered anew.
            framework_id = self._notes.get(FRAMEWORK)
            with self._changed:
                self.framework_id = framework_id
                self._taken_over()
            connection.resume()
        if not connection.connected:
            connection.keep()
        return connection

    def subscribed(self) -> Connection:
        """Raises BackendUnavailable if there is no subscription within CONNECT_WITHIN."""
        connection = self.open()
        with self._changed:
            here = self._changed.wait_for(lambda: self.since > 0, CONNECT_WITHIN)
            framework_id = self.framework_id
        if not here:
            raise BackendUnavailable(connection.trouble or "The Mesos master does not answer.")
        if self._notes.get(FRAMEWORK) != framework_id:
            # Before anything is launched under it: another process must find its tasks again.
            self._notes.put(FRAMEWORK, framework_id)
        return connection

    def keep(self) -> None:
        """A dead connection is made anew."""
        if self.connection is not None and not self._closed:
            self.connection.keep()

    def close(self) -> None:
        self._closed = True
        if self.connection is not None:
            self.connection.close()
        if self._operator is not None:
            self._operator.close()

    # Told by the connection, through the listener.

    def begin(self, framework_id: str) -> None:
        """Called under `changed`."""
        self.framework_id = framework_id
        self.since = time.monotonic()

    def end(self) -> None:
        """Called under `changed`."""
        self.since = 0.0

    def note_removal(self, sentence: str) -> None:
        self._notes.put(REMOVED, as_note(Removal(sentence, time.time())))
