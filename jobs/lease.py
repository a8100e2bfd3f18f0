"""The database lease: one process at a time may schedule, launch and observe."""

from __future__ import annotations

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path

from django.db import IntegrityError
from django.db.models import F, Q
from django.utils import timezone

from jobs.models import Lease

TTL = 15.0
"""seconds without renewal after which another process may take over"""


def _machine() -> str:
    """Where a process id means the same: this boot, this pid namespace. Names of hosts repeat."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"


class LeaseKeeper:
    """Takes and renews the lease `name`. Not shared between threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holder = f"{_machine()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._good_until = 0.0
        self._closed = False

    def hold(self) -> bool:
        """Take or renew. True: ours for the next TTL seconds. Cheap: one UPDATE a third of TTL."""
        if self._closed:
            return False
        now = time.monotonic()
        if now < self._good_until - TTL * 2 / 3:
            return True
        if self._renew() or self._take():
            self._good_until = now + TTL
            return True
        return False

    def still_ours(self) -> bool:
        """By our own clock, without asking: checked right before something that can't be undone."""
        return not self._closed and time.monotonic() < self._good_until

    def close(self) -> None:
        """Begin no more: `hold` and `still_ours` say no from now on. Any thread."""
        self._closed = True

    def release(self) -> None:
        """Let the next one start at once. Only when nobody of ours still works under the lease."""
        self._good_until = 0.0
        Lease.objects.filter(name=self.name, holder=self.holder).update(expires_at=timezone.now())

    def _renew(self) -> bool:
        expires = timezone.now() + timedelta(seconds=TTL)
        return bool(
            Lease.objects.filter(
                name=self.name, holder=self.holder, expires_at__gt=timezone.now()
            ).update(expires_at=expires)
        )

    def _take(self) -> bool:
        now = timezone.now()
        expires = now + timedelta(seconds=TTL)
        free = Q(expires_at__lte=now)
        dead = self._dead_neighbour()
        if dead:
            free |= Q(holder=dead)
        taken = Lease.objects.filter(free, name=self.name).update(
            holder=self.holder, epoch=F("epoch") + 1, expires_at=expires
        )
        if taken:
            return True
        if Lease.objects.filter(name=self.name).exists():
            return False
        try:
            Lease.objects.create(name=self.name, holder=self.holder, epoch=1, expires_at=expires)
        except IntegrityError:
            return False
        return True

    def _dead_neighbour(self) -> str:
        """The present holder, if it was a process of this machine that is gone for certain."""
        holder = Lease.objects.filter(name=self.name).values_list("holder", flat=True).first() or ""
        host, _, rest = holder.partition(":")
        pid = rest.partition(":")[0]
        if host != _machine() or not pid.isdigit() or int(pid) == os.getpid():
            return ""
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return holder
        except PermissionError:
            return ""
        return ""
