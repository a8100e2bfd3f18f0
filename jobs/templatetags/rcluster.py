"""How times, sizes and states look on every page."""

from __future__ import annotations

import re
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.audit import phrase
from accounts.models import AuditEntry
from jobs.endings import duration
from jobs.models import Run
from jobs.queue import NEAR, amount, size
from jobs.states import Reason
from jobs.views import present

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-{}"/></svg>', name
    )


@register.simple_tag
def state(run: Run) -> SafeString:
    """Shape, colour and word."""
    shown = present.shown(run)
    return _state(shown.key, shown.word)


@register.simple_tag
def state_shape(run: Run) -> SafeString:
    """The shape alone for the eye, the word for a screen reader."""
    shown = present.shown(run)
    return format_html(
        '<span class="state state-{0}" title="{1}"><svg aria-hidden="true"><use href="#s-{0}"/></svg>'
        '<span class="visually-hidden">{1}</span></span>',
        shown.key,
        shown.word,
    )


@register.simple_tag
def state_of(value: str) -> SafeString:
    """For a state without its Run, as in a list of Tasks."""
    key, word = present.BY_STATE[value]
    return _state(key, word)


def _state(key: str, word: str) -> SafeString:
    return format_html(
        '<span class="state state-{0}"><svg aria-hidden="true"><use href="#s-{0}"/></svg>{1}</span>',
        key,
        word,
    )


@register.simple_tag
def condition(key: str, word: str) -> SafeString:
    """For what is no Run, as a machine."""
    return _state(key, word)


@register.simple_tag
def sentence(run: Run) -> SafeString | str:
    """Why, or for how long; counts on in the browser while it runs."""
    shown = present.shown(run)
    if shown.key == "running" and run.started_at is not None:
        where = f" on {run.machine}" if run.machine else ""
        return format_html("for {}{}", _since(run.started_at), where)
    return shown.sentence


def _since(moment: datetime) -> SafeString:
    seconds = max(0.0, (timezone.now() - moment).total_seconds())
    return format_html('<span data-since="{}">{}</span>', moment.isoformat(), duration(seconds))


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """A time as people say it ("5 min ago"), exact in the title; the browser keeps it fresh."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        moment.isoformat(),
        timezone.localtime(moment).strftime("%-d %B %Y, %H:%M:%S %Z"),
        relative(moment, timezone.now()),
    )


def relative(moment: datetime, now: datetime) -> str:
    """The same words as frontend/src/lib/format.ts."""
    seconds = (now - moment).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 24 * 3600:
        return f"{round(seconds / 3600)} h ago"
    local, today = timezone.localtime(moment), timezone.localtime(now)
    if (today.date() - local.date()).days == 1:
        return "yesterday"
    return local.strftime("%-d %b" if local.year == today.year else "%-d %b %Y")


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """A time of day in the reader's own zone (the browser converts it)."""
    return format_html(
        '<time datetime="{}" data-clock>{}</time>',
        moment.isoformat(),
        timezone.localtime(moment).strftime("%H:%M:%S"),
    )


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@register.filter
def visibly(name: str) -> str:
    """A name as it is shown: what a page would not show, or would turn the letters around it by, is
    seen ("two␊lines", "may\\u202egpj.exe"). The same as frontend/src/lib/format.ts."""
    return _UNSEEN.sub(lambda match: _picture(ord(match[0])), name)


def _picture(code: int) -> str:
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else f"\\u{code:04x}"


@register.filter
def in_bytes(count: int | None) -> str:
    if count is None:
        return "not known"
    if count >= 1024:
        return size(count)
    return "1 byte" if count == 1 else f"{count} bytes"


@register.filter
def in_cpus(cpus: float | str) -> str:
    return amount(float(cpus))


@register.filter
def number(value: float | str) -> str:
    """1, 2.5: no digits that say nothing."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


@register.filter
def in_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    return duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"


@register.filter
def run_time(run: Run) -> str:
    return present.run_time(run)


@register.filter
def place(run: Run) -> int | None:
    """1 for the first in line; None where the place is not told, or is only among one's own Runs."""
    if run.ahead is None or run.ahead >= NEAR or run.reason == Reason.USER_LIMIT:
        return None
    return run.ahead + 1


@register.filter
def did(entry: AuditEntry) -> str:
    """What was done, as it reads behind a name."""
    return phrase(entry.action, entry.subject)


@register.filter
def word(value: str) -> str:
    return present.BY_STATE[value][1]
