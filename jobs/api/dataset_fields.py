"""Datasets by name, as Tasks ask for them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from files.models import Dataset
from jobs.api.fields import Text

MOST = 100
"""Datasets of one Task"""


class ChosenDatasets(serializers.ListField):
    """Takes names, gives rows; the service says which of them this person may not use."""

    child = Text(max_length=63, allow_blank=False)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MOST, **options)

    def to_internal_value(self, data: Any) -> list[Dataset]:
        names = super().to_internal_value(data)
        rows = Dataset.objects.select_related("owner").in_bulk(names, field_name="name")
        # Of names that nobody gave, too: whether one is there is not told to those who may not see it.
        return [rows.get(name) or Dataset(name=name) for name in dict.fromkeys(names)]

    def to_representation(self, data: Any) -> list[str]:
        return [each.name for each in data.all()]
