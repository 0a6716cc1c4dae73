"""Names for what goes into calls."""

from __future__ import annotations

import datetime
import os
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, Union

PointId = Union[int, str, uuid.UUID]
"""A whole number from 0 to 2^64-1, text of up to 1,024 bytes, or a UUID. 5 is not "5". UUIDs come back as text."""

MetadataValue = Union[None, bool, int, float, str, datetime.datetime, datetime.date, list[Any]]
Metadata = Mapping[str, MetadataValue]
"""Fields of a point. Date-times need a time zone and come back in UTC."""

Filter = Mapping[str, Any]
"""``{"field": value}`` or ``{"field": {"$op": value}}``, joined by ``$and``, ``$or`` and ``$not``."""

Vector = Any
"""A list of numbers, a numpy array, or anything that numpy takes for an array."""

Example = Union[PointId, Vector]
"""The id of a point, or a vector."""

Strategy = Literal["average_vector", "best_score"]
Metric = Literal["l2", "cosine", "dot", "l1", "hamming", "jaccard"]
Element = Literal["f32", "f16", "i8", "u8", "bits"]

Durability = Union[Literal["every_write", "none"], Mapping[Literal["interval_ms"], int]]
"""When a write is acknowledged: after it was synced to the disk (``"every_write"``), synced within so many milliseconds
(``{"interval_ms": 100}``), or when the operating system has it (``"none"``)."""

Certificate = Union[str, "os.PathLike[str]", bytes]
"""The name of a PEM file, or its bytes."""


class SupportsUpdate(Protocol):
    """Such as a progress bar of tqdm."""

    def update(self, n: int, /) -> object: ...


Progress = Union[Callable[[int, Union[int, None]], object], SupportsUpdate]
"""Told after each batch: a function of points done and points in all (``None`` where that is not known), or a progress
bar with ``update(n)``."""
