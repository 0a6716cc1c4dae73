"""Cuts what is to be upserted into batches, each of which is written whole or not at all, and adds up what was written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sized
from itertools import islice
from typing import Any

from ._errors import InvalidArgumentError
from ._results import WriteResult
from ._types import Progress

BATCH_BYTES_MAX = 16 << 20
"""More bytes of vectors than this never go into one batch, however many points were asked for."""


class Load:
    """One upsert: its batches, and how far it is. Several batches may be under way; they are answered in order."""

    def __init__(self, progress: Progress | None) -> None:
        self.total = WriteResult(inserted=0, updated=0, deleted=0, position=0, durability="every_write")
        self._progress = progress
        self._under_way: deque[int] = deque()
        self._done = 0
        self._of: int | None = None

    def of_points(self, points: Any, size: int) -> Iterator[tuple[int, list[Any]]]:
        """Batches of points, each with the number of its first."""
        if hasattr(points, "__array__"):
            raise InvalidArgumentError("an array of vectors needs ids: upsert(collection, ids=[...], vectors=array)")
        if isinstance(points, (Mapping, str, bytes)) or not hasattr(points, "__iter__"):
            raise InvalidArgumentError(
                f"vectors are a list of points or, with ids, of vectors, not {str(points)[:60]!r} ({type(points).__name__})"
            )
        self._of = len(points) if isinstance(points, Sized) else None
        return self._points(iter(points), _checked(size))

    def _points(self, rest: Iterator[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
        batch = list(islice(rest, 1))
        if batch and isinstance(batch[0], Mapping):
            size = _fitting(size, batch[0].get("vector"))
        batch += islice(rest, size - len(batch))
        first = 0
        # An upsert of nothing is made all the same: whether there is such a collection is for the database to say.
        while batch or first == 0:
            self._under_way.append(len(batch))
            yield first, batch
            first += max(1, len(batch))
            batch = list(islice(rest, size))

    def of_columns(
        self, ids: Any, vectors: Any, metadata: Any, size: int
    ) -> Iterator[tuple[int, Any, Any, Any]]:
        """Batches of rows of columns, each with the number of its first."""
        ids, vectors = _column(ids, "ids"), _column(vectors, "vectors")
        metadata = None if metadata is None else _column(metadata, "metadata")
        if len(ids) != len(vectors):
            raise InvalidArgumentError(f"{len(ids)} ids for {len(vectors)} vectors")
        if metadata is not None and len(metadata) != len(ids):
            raise InvalidArgumentError(f"{len(ids)} ids for {len(metadata)} rows of metadata")
        self._of = len(ids)
        return self._rows(ids, vectors, metadata, _checked(size))

    def _rows(self, ids: Any, vectors: Any, metadata: Any, size: int) -> Iterator[tuple[int, Any, Any, Any]]:
        count = len(ids)
        size = _fitting(size, vectors[0] if count else None)
        for first in range(0, max(count, 1), size):
            rows = slice(first, min(first + size, count))
            self._under_way.append(rows.stop - first)
            yield first, ids[rows], vectors[rows], None if metadata is None else metadata[rows]

    def answered(self, result: WriteResult) -> None:
        """The oldest batch under way was written."""
        for name in ("inserted", "updated", "deleted"):
            self.total[name] += result[name]
        self.total["position"] = result["position"]
        self.total["durability"] = result["durability"]
        points = self._under_way.popleft()
        self._done += points
        if self._progress is None:
            return
        if callable(self._progress):
            self._progress(self._done, self._of)
        else:
            self._progress.update(points)


def _checked(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidArgumentError(f"batch_size is a whole number from 1 on, not {size!r}")
    return size


def _fitting(size: int, vector: Any) -> int:
    """At most ``size``, and so many that their vectors stay below the limit in bytes."""
    try:
        dimension = len(vector)
    except TypeError:
        return size
    return max(1, min(size, BATCH_BYTES_MAX // (4 * max(1, dimension))))


def _column(values: Any, what: str) -> Any:
    """Something with a length that can be cut."""
    if hasattr(values, "to_numpy"):
        # Slices of what pandas has go by label or by row, as its index is; those of arrays by row alone.
        return values.to_numpy()
    if isinstance(values, (Mapping, str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidArgumentError(f"{what} are a list or an array, not {str(values)[:60]!r} ({type(values).__name__})")
    if isinstance(values, Sized) and hasattr(values, "__getitem__"):
        return values
    return list(values)
