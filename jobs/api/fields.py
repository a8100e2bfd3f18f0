"""Fields and checks that take what the API promises and nothing that merely looks like it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

SAY_WHEN = "Give a moment with its zone: 2026-11-22T18:00:00Z."


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know or that can't be set, instead of ignoring them."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {
                str(name): ["There is no such field that can be set."]
                for name in data
                if name not in known
            }
            if unknown:
                raise ValidationError(unknown)
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A JSON string, kept as it is: no number turned into text, no blanks cut off, no NUL."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise ValidationError("Give a string.")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON number without a fraction."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or data != data // 1:
            raise ValidationError("Give a whole number.")
        return int(data)


class Cores(serializers.FloatField):
    """CPU cores as a JSON number; fractions are fine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_value": 9999, **options})

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise ValidationError("Give a number.")
        try:
            value = float(data)
        except OverflowError:
            raise ValidationError("Give a smaller number.") from None
        if not math.isfinite(value):
            raise ValidationError("Give a number.")
        return value


class Flag(serializers.BooleanField):
    """true or false, not "yes", 1 or "false"."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise ValidationError("Give true or false.")
        return data


class Moment(serializers.DateTimeField):
    """A time with its zone: without one it would be whichever the reader thinks of."""

    default_error_messages = dict.fromkeys(("invalid", "date", "make_aware", "overflow"), SAY_WHEN)

    def enforce_timezone(self, value: datetime) -> datetime:
        if is_naive(value):
            raise ValidationError(SAY_WHEN)
        return super().enforce_timezone(value)


def moment_in(text: str, name: str) -> datetime:
    """The same of a parameter of the address."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or is_naive(found):
        raise ValidationError({name: [SAY_WHEN]})
    return found
