"""What calls give back: dictionaries and lists, as JSON has them, with attributes besides."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas
    import pyarrow


class AttributeDict(dict[str, Any]):
    """A dictionary whose entries can be read as attributes: ``result.id`` is ``result["id"]``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} here; there are: {', '.join(self)}") from None

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self]


class SearchResult(AttributeDict):
    """A point that was found: ``id``, ``score`` (larger is better), ``distance`` (smaller is nearer) and, unless it was
    left out, ``metadata``; ``vector`` where it was asked for."""

    __slots__ = ()


class Record(AttributeDict):
    """A point that was read: ``id``, ``metadata``, and ``vector`` where it was asked for."""

    __slots__ = ()


class HitGroup(AttributeDict):
    """The nearest points that have one ``value`` of a field: its ``hits``, nearest first."""

    __slots__ = ()


class Facet(AttributeDict):
    """A ``value`` of a field and the ``count`` of points that have it."""

    __slots__ = ()


class Row(AttributeDict):
    """A row of a query: the columns by name."""

    __slots__ = ()


class WriteResult(AttributeDict):
    """What a write did: ``inserted``, ``updated``, ``deleted``, the ``position`` of the write in the log, and how safe
    it was when it was acknowledged (``durability``)."""

    __slots__ = ()


class IndexChoice(AttributeDict):
    """An index as it is predicted to be over all points: ``index`` (an ``index_config``), ``params`` for a search, its recall
    on the sample (``sample_recall``) and whether that is enough (``reaches_recall``), ``memory_bytes`` that searches have to
    have in memory and whether that is little enough (``fits_memory``), ``build_seconds``, and the median ``latency_us`` of a
    search by one thread."""

    __slots__ = ()


class Advice(AttributeDict):
    """Which index to take: all ``choices``, those that will do first, the fastest of them at the top; ``recommended``, the
    first of them, or ``None`` where none will do; ``rows`` that this is predicted for, ``sample_rows`` and ``queries`` that it
    was measured with."""

    __slots__ = ()


class CollectionInfo(AttributeDict):
    """Settings, counts and background work of a collection. ``unindexed``: the metadata fields that no index is kept of.
    ``searches``: how searches were answered since it was opened, by plan, and hits of the caches.
    ``subset_graphs``: how many graphs there are of what filters that return match; ``subset_graph_bytes``: their
    memory."""

    __slots__ = ()


class SearchStats(NamedTuple):
    """What a search did, for those who tune it."""

    distance_computations: int
    estimated_distances: int
    nodes_visited: int
    segments: int
    matching: int | None
    unindexed: tuple[str, ...] = ()


class RestoredCollections(list[AttributeDict]):
    """The collections that a restore made, each with ``name`` and ``points``.

    ``sequence``: the sequence number that the archived log was followed to, ``time``: when the last write up to there was made;
    each ``None`` where there was none to follow.
    """

    __slots__ = ("sequence", "time")

    def __init__(
        self,
        collections: Iterable[AttributeDict] = (),
        sequence: int | None = None,
        time: datetime.datetime | None = None,
    ) -> None:
        super().__init__(collections)
        self.sequence = sequence
        self.time = time


class SearchResults(list[SearchResult]):
    """The points found, nearest first. Where groups were asked for there are none, and ``groups`` has them: the one with the
    nearest hit first, each a :class:`HitGroup`.

    ``searched_vectors``: how many points the search was over. ``latency_ms``: time inside the engine. ``truncated``: the
    time given as ``truncate_after`` was up first, so nearer points may exist. ``stats``: see :class:`SearchStats`.
    ``explanation``: how the search was answered, where that was asked for. ``cached``: the answer was kept from an earlier
    search, whose ``stats`` these are.
    """

    __slots__ = ("cached", "explanation", "groups", "latency_ms", "searched_vectors", "stats", "truncated")

    def __init__(
        self,
        results: Iterable[SearchResult] = (),
        searched_vectors: int = 0,
        latency_ms: float = 0.0,
        truncated: bool = False,
        stats: tuple[int, int, int, int, int | None, tuple[str, ...]] = (0, 0, 0, 0, None, ()),
        groups: Iterable[HitGroup] = (),
        explanation: dict[str, Any] | None = None,
        cached: bool = False,
    ) -> None:
        super().__init__(results)
        self.searched_vectors = searched_vectors
        self.latency_ms = latency_ms
        self.truncated = truncated
        self.stats = SearchStats(*stats)
        self.groups = list(groups)
        self.explanation = explanation
        self.cached = cached

    @property
    def ids(self) -> list[int | str]:
        """The ids alone."""
        return [result["id"] for result in self]

    @property
    def scores(self) -> list[float]:
        """The scores alone."""
        return [result["score"] for result in self]

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame: id, score, distance, and a column for each metadata field. Needs pandas."""
        return to_pandas(self)

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table: id, score, distance, and a column for each metadata field. Needs pyarrow."""
        return to_arrow(self)


class Facets(list[Facet]):
    """The values of a field, the most frequent first.

    ``distinct``: how many different values there are. ``points``: how many points match the filter, or are there.
    ``missing``: how many of these have no value.
    """

    __slots__ = ("distinct", "missing", "points")

    def __init__(self, values: Iterable[Facet] = (), distinct: int = 0, points: int = 0, missing: int = 0) -> None:
        super().__init__(values)
        self.distinct = distinct
        self.points = points
        self.missing = missing


class QueryResult(list[Row]):
    """The rows of an SQL statement.

    ``columns``: pairs of name and type. ``affected``: how many points an ``INSERT``, ``UPDATE`` or ``DELETE`` changed, else
    ``None``. ``searched_vectors``: how many points a search was over, else ``None``. ``unindexed``: fields of the condition
    that are not indexed. ``truncated``: the time given as ``timeout_ms`` was up first. ``latency_ms``: time in the database.
    """

    __slots__ = ("affected", "columns", "latency_ms", "searched_vectors", "truncated", "unindexed")

    def __init__(
        self,
        rows: Iterable[Row] = (),
        columns: Iterable[tuple[str, str]] = (),
        affected: int | None = None,
        searched_vectors: int | None = None,
        unindexed: Iterable[str] = (),
        truncated: bool = False,
        latency_ms: float = 0.0,
    ) -> None:
        super().__init__(rows)
        self.columns = list(columns)
        self.affected = affected
        self.searched_vectors = searched_vectors
        self.unindexed = list(unindexed)
        self.truncated = truncated
        self.latency_ms = latency_ms


def to_pandas(points: Iterable[AttributeDict]) -> pandas.DataFrame:
    """Points as a pandas data frame: a column for each entry, one for each metadata field. A field that is named like
    an entry gets the prefix ``metadata.``."""
    import pandas

    return pandas.DataFrame(_columns(points))


def to_arrow(points: Iterable[AttributeDict]) -> pyarrow.Table:
    """Points as an Arrow table, with columns as in :func:`to_pandas`. Ids of mixed types become text."""
    import pyarrow

    columns = _columns(points)
    ids = columns.get("id", [])
    if len({type(id) for id in ids}) > 1:
        columns["id"] = [str(id) for id in ids]
    return pyarrow.table(
        {
            name: pyarrow.array(values, pyarrow.list_(pyarrow.float32())) if name == "vector" else values
            for name, values in columns.items()
        }
    )


_ENTRIES = ("id", "score", "distance", "vector")


def _columns(points: Iterable[AttributeDict]) -> dict[str, list[Any]]:
    rows = list(points)
    columns = {name: [row[name] for row in rows] for name in _ENTRIES if rows and name in rows[0]}
    fields = sorted({field for row in rows for field in row.get("metadata", ())})
    for field in fields:
        name = f"metadata.{field}" if field in _ENTRIES else field
        columns[name] = [row["metadata"].get(field) for row in rows]
    return columns
