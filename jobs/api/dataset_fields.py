"""Datasets by name, as Tasks ask for them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

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
        for name in names:
            if name not in rows:
                raise ValidationError(f"There is no Dataset {name}: see /api/v1/datasets.")
        return list(rows.values())

    def to_representation(self, data: Any) -> list[str]:
        return [each.name for each in data.all()]
