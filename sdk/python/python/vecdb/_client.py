"""The client: the same calls on a folder and on a server."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

from . import _batches
from ._errors import InvalidArgumentError, VecDBError
from ._results import (
    Advice,
    AttributeDict,
    CollectionInfo,
    Facets,
    IndexChoice,
    QueryResult,
    Record,
    RestoredCollections,
    SearchResults,
    WriteResult,
)
from ._types import (
    Certificate,
    Durability,
    Element,
    Example,
    Filter,
    Metadata,
    Metric,
    PointId,
    Progress,
    Strategy,
    Vector,
)
from ._vecdb import Connection


class VecDBClient:
    """Collections of vectors in a folder (``path``), inside this process, or on a server (``url``).

    Args:
        url: ``"host:port"``, ``"http://host:port"`` or ``"https://host:port"`` of a server.
        path: A folder, made where there is none. One process at a time can have it open.
        api_key: Key or token for the server.
        ca_certificate: Who may have signed the server's certificate: a PEM file, or its bytes. Default: the system's
            authorities. Certificates need an ``https://`` url: whether a connection is encrypted is said there alone.
        client_certificate, client_key: What this client shows to a server that asks for it.
        timeout: Seconds that a call may take unless it says otherwise. Default: 30 on a server, retries included; no limit
            in a folder. It does not end calls that take as long as there is data: :meth:`flush`, :meth:`compact`,
            :meth:`verify`, :meth:`advise`, :meth:`create_field_index`, and making, restoring and deleting snapshots. Of an upsert it is the time for each batch.
        retries: How often a call that can be made twice is made again when the server is not reachable or has too much
            to do.
        create: Whether to make the folder where there is none.
        threads: Threads for index builds and batch searches of the folder; 0 means all processors.
        snapshots: Where snapshots of the folder go: another folder, or a URL such as ``s3://bucket/prefix``. A server has
            its own setting for that.
        on_corruption: What opening a folder does about damage in the middle of its log: ``"stop"`` raises a
            :class:`CorruptError` with file and offset, ``"skip"`` leaves it out and counts it in
            ``status().recovery["skipped"]``.
        archive: Folder, or URL such as ``s3://bucket/prefix``, that the log of the folder is archived to from now on, by
            whoever opens it, so that
            :meth:`restore_snapshot` can go to any later moment; ``"off"`` ends that. A server has its own setting for it.
        merge_bytes_per_second: Merges in the folder write and read back at no more bytes a second; 0 means no limit. A
            server has its own setting for it.

    Any thread may use a client at any time; searches run side by side. A process that was forked needs a client of its
    own. Every call that fails raises a :class:`VecDBError`. Close a client, or use it in a ``with`` statement.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        ca_certificate: Certificate | None = None,
        client_certificate: Certificate | None = None,
        client_key: Certificate | None = None,
        timeout: float | None = None,
        retries: int = 3,
        create: bool = True,
        threads: int = 0,
        snapshots: str | os.PathLike[str] | None = None,
        on_corruption: str = "stop",
        archive: str | os.PathLike[str] | None = None,
        merge_bytes_per_second: int = 0,
    ) -> None:
        if (url is None) == (path is None):
            raise InvalidArgumentError(
                'give either the address of a server, VecDBClient("localhost:6333"), or a folder, VecDBClient(path="./data")'
            )
        self._timeout = timeout
        if url is not None:
            if snapshots is not None:
                raise InvalidArgumentError("snapshots is a setting of the server; it goes with path only")
            if archive is not None:
                raise InvalidArgumentError("archive is a setting of the server; it goes with path only")
            if merge_bytes_per_second:
                raise InvalidArgumentError("merge_bytes_per_second is a setting of the server; it goes with path only")
            self._place = url
            self._connection = Connection.connect(
                url,
                api_key,
                _pem(ca_certificate),
                _pem(client_certificate),
                _pem(client_key),
                timeout,
                retries,
            )
        else:
            assert path is not None
            if api_key is not None or ca_certificate or client_certificate or client_key:
                raise InvalidArgumentError("keys and certificates are for servers; a folder needs none")
            self._place = os.fspath(path)
            location = None if snapshots is None else os.fspath(snapshots)
            archived = None if archive is None else os.fspath(archive)
            self._connection = Connection.open(
                path, create, threads, location, on_corruption, archived, merge_bytes_per_second
            )
            _open_folders.add(self)

    # Collections

    def create_collection(
        self,
        name: str,
        dimension: int,
        metric: Metric = "cosine",
        index_config: Mapping[str, Any] | str | None = None,
        *,
        element: Element | None = None,
        fields: Mapping[str, str] | None = None,
        unindexed: Iterable[str] = (),
        durability: Durability | None = None,
    ) -> CollectionInfo:
        """Makes a collection; its name must be free.

        Args:
            dimension: Number of values of a vector; for ``bits``, of bits.
            metric: How nearness is measured.
            index_config: ``{"type": "hnsw", "m": 16, "ef_construction": 200}`` (the default), ``{"type": "ivf", "nlist": 256}``
                (with codes: ``{"type": "ivf", "code": "pq16x4"}``), ``{"type": "lsh", "tables": 16}``,
                ``{"type": "diskann", "r": 64}`` or ``{"type": "flat"}``.
            element: How the values are stored. Default: ``f32``, or ``bits`` for the metrics of bits.
            fields: Metadata fields whose type is fixed: ``{"released": "datetime", "tags": "string[]"}``. Others take the
                type of the first value seen.
            unindexed: Those of ``fields`` that no index is kept of: filters on them read the points.
                ``create_field_index`` makes one later.
            durability: When a write is acknowledged. Default: once it is on the disk.
        """
        declared = None if fields is None else dict(fields)
        return _info(
            self._connection.create_collection(
                name, dimension, metric, index_config, element, declared, list(unindexed), durability
            )
        )

    def get_collection(self, name: str) -> CollectionInfo:
        """Settings, counts, segments and background work of a collection."""
        return _info(self._connection.collection(name))

    def list_collections(self) -> list[AttributeDict]:
        """All collections: ``name``, ``points``, and in ``broken`` the reason where one cannot be opened."""
        return [AttributeDict(summary) for summary in self._connection.collections()]

    def drop_collection(self, name: str) -> None:
        """Removes a collection with all its points."""
        self._connection.drop_collection(name)

    # Points

    def upsert(
        self,
        collection: str,
        vectors: Iterable[Mapping[str, Any]] | Sequence[Vector] | Vector,
        *,
        ids: Sequence[PointId] | Any = None,
        metadata: Sequence[Metadata | None] | None = None,
        batch_size: int = 1000,
        durability: Durability | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Inserts points, or replaces those of the same ids.

        Args:
            vectors: Points, ``{"id": 1, "vector": [...], "metadata": {...}}``, as a list or from a generator; or, with
                ``ids``, a list of vectors or an array with a row for each. Arrays of float32 are copied once.
            ids, metadata: Columns beside ``vectors``, as long as it.
            batch_size: Points that are written together: all of a batch or, if it fails, none. Batches before it stay.
            progress: Told after each batch; see :data:`vecdb._types.Progress`.
            timeout: Seconds for all batches together. Without it there is no limit for all, and the client's for each.

        Returns:
            The sum over all batches.
        """
        load = _batches.Load(progress)
        batches: Iterator[tuple[Any, ...]]
        if ids is not None:
            batches = load.of_columns(ids, vectors, metadata, batch_size)
        elif metadata is None:
            batches = load.of_points(vectors, batch_size)
        else:
            raise InvalidArgumentError("metadata as a list of its own needs ids; a point has its metadata in it")
        self._connection.upsert(collection, batches, durability, timeout, self._timeout, load.answered)
        return load.total

    def update_metadata(
        self,
        collection: str,
        ids: Sequence[PointId],
        metadata: Metadata,
        *,
        replace: bool = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Sets metadata fields of points and leaves their vectors. With ``replace`` the given fields are all there is
        afterwards; else the other fields stay."""
        return self._connection.update_metadata(collection, ids, metadata, replace, self._limit(timeout))

    def delete(
        self,
        collection: str,
        ids: Sequence[PointId] | None = None,
        *,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Deletes points by id or by filter. Ids that do not exist are no error."""
        return self._connection.delete(collection, ids, filter, self._limit(timeout))

    def get(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_vector: bool = False,
        with_metadata: bool = True,
        timeout: float | None = None,
    ) -> list[Record | None]:
        """Points by id, in the order of ``ids``; ``None`` for those that do not exist."""
        return self._connection.get(collection, ids, with_vector, with_metadata, self._limit(timeout))

    def scroll(
        self,
        collection: str,
        *,
        filter: Filter | None = None,
        with_vector: bool = False,
        with_metadata: bool = True,
        order_by: str | None = None,
        descending: bool = False,
        page_size: int = 1000,
        timeout: float | None = None,
    ) -> Iterator[Record]:
        """All points, or those that match a filter, read page by page. Points that exist all the while come exactly once.

        Args:
            order_by: By the values of this field, smallest first; those of the same value by their ids, those without a
                value last. An array counts as its smallest element, or as its largest where the order descends.
            descending: Largest value first.
            timeout: Holds for each page.
        """
        cursor: str | None = None
        while True:
            page, cursor = self.scroll_page(
                collection,
                cursor,
                filter=filter,
                with_vector=with_vector,
                with_metadata=with_metadata,
                order_by=order_by,
                descending=descending,
                page_size=page_size,
                timeout=timeout,
            )
            yield from page
            if cursor is None:
                return

    def scroll_page(
        self,
        collection: str,
        cursor: str | None = None,
        *,
        filter: Filter | None = None,
        with_vector: bool = False,
        with_metadata: bool = True,
        order_by: str | None = None,
        descending: bool = False,
        page_size: int = 1000,
        timeout: float | None = None,
    ) -> tuple[list[Record], str | None]:
        """One page of :meth:`scroll`, and the cursor of the next one; ``None`` at the end."""
        return self._connection.scroll(
            collection,
            cursor,
            page_size,
            filter,
            with_vector,
            with_metadata,
            order_by,
            descending,
            self._limit(timeout),
        )

    def count(self, collection: str, filter: Filter | None = None, *, timeout: float | None = None) -> int:
        """How many points there are, or match a filter."""
        return self._connection.count(collection, filter, self._limit(timeout))

    # SQL

    def query(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """Runs one SQL statement and gives its rows as dictionaries.

        Args:
            params: What placeholders stand for: a list for ``?`` or ``$1``, a dictionary for ``$name``. They are bound as
                values; nothing in them is read as SQL. A numpy array of one dimension, or a list of numbers, can be a
                vector, any list the values of ``IN``.
        """
        return self._connection.query(sql, params, self._limit(timeout))

    # Search

    def search(
        self,
        collection: str,
        vector: Vector,
        limit: int = 10,
        filter: Filter | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        max_distance: float | None = None,
        min_score: float | None = None,
        with_vector: bool = False,
        with_metadata: bool = True,
        truncate_after: float | None = None,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int = 1,
        explain: bool = False,
        explain_only: bool = False,
        cache: bool = False,
        timeout: float | None = None,
    ) -> SearchResults:
        """The points nearest to a vector, nearest first.

        Args:
            filter: Only points that match, such as ``{"category": "games", "price": {"$lt": 50}}``.
            params: Knobs of the index: ``{"ef": 200}`` for a more careful search, ``{"target_recall": 0.95}`` to have the
                knob set by what the index measured, ``{"exact": True}`` to compare all.
            max_distance: Only points at most this far.
            min_score: Only points of at least this score.
            truncate_after: After so many seconds give what was found, marked ``truncated``.
            offset: Pass over that many of the nearest hits.
            group_by: Give, in ``groups`` of the answer, hits that have the same value of this field, ``group_size`` of each
                value at most; ``limit`` and ``offset`` then count groups. A point without a value is in none.
            explain: Say in ``explanation`` of the answer how it was found: plans, what each condition matched, times.
            explain_only: Say there how it would be found, from estimates, and do not run the search.
            cache: Keep the answer, and give one that was kept to the same search if nothing was written since.
            timeout: After so many seconds raise :class:`DeadlineExceededError`.
        """
        return self._connection.search(
            collection,
            vector,
            limit,
            filter,
            params,
            max_distance,
            min_score,
            with_vector,
            with_metadata,
            truncate_after,
            offset,
            group_by,
            group_size,
            explain,
            explain_only,
            cache,
            self._limit(timeout),
        )

    def search_batch(
        self,
        collection: str,
        vectors: Sequence[Vector] | Vector,
        limit: int = 10,
        filter: Filter | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        max_distance: float | None = None,
        min_score: float | None = None,
        with_vector: bool = False,
        with_metadata: bool = True,
        truncate_after: float | None = None,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int = 1,
        explain: bool = False,
        explain_only: bool = False,
        cache: bool = False,
        timeout: float | None = None,
    ) -> list[SearchResults]:
        """One search for each row of ``vectors``, all of the same state of the collection; faster than one by one."""
        return self._connection.search_batch(
            collection,
            vectors,
            limit,
            filter,
            params,
            max_distance,
            min_score,
            with_vector,
            with_metadata,
            truncate_after,
            offset,
            group_by,
            group_size,
            explain,
            explain_only,
            cache,
            self._limit(timeout),
        )

    def recommend(
        self,
        collection: str,
        positive: Sequence[Example],
        negative: Sequence[Example] = (),
        limit: int = 10,
        filter: Filter | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        strategy: Strategy = "average_vector",
        max_distance: float | None = None,
        min_score: float | None = None,
        with_vector: bool = False,
        with_metadata: bool = True,
        truncate_after: float | None = None,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int = 1,
        explain: bool = False,
        explain_only: bool = False,
        cache: bool = False,
        timeout: float | None = None,
    ) -> SearchResults:
        """The points most like some examples and least like others. Examples that are points are no hits.

        Args:
            positive, negative: Ids of points, and vectors. One positive example at least.
            strategy: ``"average_vector"`` searches for the mean of the positive examples, moved away from that of the
                negative ones. ``"best_score"`` compares candidates near the positive examples with every example.

        The other arguments are those of :meth:`search`.
        """
        return self._connection.recommend(
            collection,
            positive,
            negative,
            strategy,
            limit,
            filter,
            params,
            max_distance,
            min_score,
            with_vector,
            with_metadata,
            truncate_after,
            offset,
            group_by,
            group_size,
            explain,
            explain_only,
            cache,
            self._limit(timeout),
        )

    def facets(
        self,
        collection: str,
        field: str,
        limit: int = 10,
        filter: Filter | None = None,
        *,
        timeout: float | None = None,
    ) -> Facets:
        """The most frequent values of a metadata field and how many points have each, or how many of those that match a
        filter. Of points with an array each different element counts."""
        return self._connection.facets(collection, field, limit, filter, self._limit(timeout))

    # Maintenance

    def create_field_index(self, collection: str, field: str, *, timeout: float | None = None) -> bool:
        """Keeps an index of a metadata field in every segment; those that are there have theirs when this returns.
        Returns whether the field had none: every field has an index until it is dropped."""
        return self._connection.create_field_index(collection, field, timeout)

    def drop_field_index(self, collection: str, field: str) -> bool:
        """Keeps no index of a metadata field any more: filters on it match the same points and read each of them. Returns
        whether it had one."""
        return self._connection.drop_field_index(collection, field)

    def flush(self, collection: str) -> None:
        """Writes what is in memory to segments. The log has it anyway: nothing is lost without."""
        self._connection.flush(collection)

    def compact(self, collection: str) -> None:
        """Merges all segments into one and drops what is dead."""
        self._connection.compact(collection)

    def pause_merges(self) -> None:
        """Begins no merge in the background any more, and lets the one under way stand still, until :meth:`resume_merges`
        or the next opening. :meth:`compact` merges all the same. ``get_collection(...).maintenance`` has ``merges_paused``
        and, in ``merge``, how far the merge under way is."""
        self._connection.pause_merges()

    def resume_merges(self) -> None:
        """Lets merges go on from where they are."""
        self._connection.resume_merges()

    def verify(self, collection: str | None = None, *, repair: bool = False) -> AttributeDict:
        """Checks every file of a collection, or of the whole database; what is wrong is in ``problems``.

        With ``repair`` what can be mended is (indexes, id maps and field indexes are made anew: ``repaired``), files
        that cannot be read are set aside (``quarantined``, with ``lost`` points), and ``problems`` is what is left.
        """
        return AttributeDict(self._connection.verify(collection, repair))

    def verify_archive(
        self, archive: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> AttributeDict:
        """Checks every byte of an archive of the log, the one in a folder or at a URL or the database's own, without restoring
        from it. ``ranges`` are the stretches without a gap (``first``, ``last``, and as microseconds since 1970 ``from``,
        ``through``): a snapshot that stands inside one leads to every later point of it. What is wrong is in ``problems``.
        Without ``timeout`` it takes as long as it takes.
        """
        location = None if archive is None else os.fspath(archive)
        return AttributeDict(self._connection.verify_archive(location, timeout))

    def advise(
        self,
        collection: str,
        target_recall: float = 0.95,
        memory: int | None = None,
        limit: int = 10,
        *,
        rows: int | None = None,
        sample_rows: int = 20_000,
        queries: int = 200,
        seed: int = 42,
        timeout: float | None = None,
    ) -> Advice:
        """Which kind of index to take: every kind is built over a sample of the points and searched with others.

        Args:
            target_recall: Share of the true neighbours to be found, 0.5 to 1.
            memory: Bytes for index and vectors, as far as searches have to have them in memory. Default: no limit.
            limit: Hits of a search.
            rows: How many points there will be. Default: as many as there are.
            sample_rows: Points to measure with, 256 to 1,000,000.
            queries: Points to search with, which are in no index, 10 to 10,000.
            seed: Of the draw.
            timeout: Without, it takes as long as it takes: seconds to minutes.

        Needs 300 points at least. The collection stays as it is.
        """
        advice = self._connection.advise(
            collection, target_recall, memory, limit, rows, sample_rows, queries, seed, timeout
        )
        best, choices = advice["recommended"], advice["choices"]
        return Advice(
            advice, recommended=None if best is None else IndexChoice(best), choices=[*map(IndexChoice, choices)]
        )

    def create_snapshot(self, name: str | None = None, collections: Sequence[str] = ()) -> AttributeDict:
        """Copies collections, or all where none is named, to the place of snapshots."""
        return AttributeDict(self._connection.create_snapshot(name, list(collections)))

    def list_snapshots(self) -> list[AttributeDict]:
        """All snapshots, with ``name``, ``created_at`` (microseconds since 1970), ``bytes`` and ``collections``. These have
        ``name``, ``points`` and, in ``sequence``, up to where in the log they have every write (``None`` where the database did
        not archive its log)."""
        return [AttributeDict(info) for info in self._connection.list_snapshots()]

    def restore_snapshot(
        self,
        name: str,
        collection: str | None = None,
        restore_as: str | None = None,
        *,
        to_sequence: int | None = None,
        to_time: datetime.datetime | None = None,
        to_latest: bool = False,
        archive: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
    ) -> RestoredCollections:
        """Makes collections from a snapshot: the one named, under the name ``restore_as`` if given, else all. The names
        must be free. Without ``timeout`` it takes as long as it takes.

        With one of ``to_sequence`` (the position of a write), ``to_time`` and ``to_latest`` the archived log is followed from
        the snapshot to there: to a time with all that was acknowledged by then and nothing later. The
        time needs a time zone. ``archive`` is the folder or the URL of the archive where it is not the database's own; a server
        has its own only. The result has ``sequence`` and ``time``: what the log was followed to.
        """
        restored = self._connection.restore_snapshot(
            name,
            collection,
            restore_as,
            to_sequence,
            to_time,
            to_latest,
            None if archive is None else os.fspath(archive),
            timeout,
        )
        micros = restored["time"]
        return RestoredCollections(
            map(AttributeDict, restored["collections"]),
            restored["sequence"],
            None if micros is None else _EPOCH + datetime.timedelta(microseconds=micros),
        )

    def delete_snapshot(self, name: str) -> None:
        """Removes a snapshot."""
        self._connection.delete_snapshot(name)

    def status(self) -> AttributeDict:
        """Version, time since the start, memory, what recovery did, and the archive of the log (``None`` without one)."""
        status = self._connection.status()
        uptime = status.pop("uptime")
        return AttributeDict(status, uptime_seconds=uptime["secs"] + uptime["nanos"] / 1e9)

    def close(self) -> None:
        """Waits for the calls under way and closes the database. Upserts end early: batches that were sent are written, and
        what is left is refused. Closing twice does nothing."""
        self._connection.close()
        _open_folders.discard(self)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._connection.closed

    def __enter__(self) -> VecDBClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place!r}{' closed' if self.closed else ''}>"

    def _limit(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is None else timeout


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_open_folders: weakref.WeakSet[VecDBClient] = weakref.WeakSet()


@atexit.register
def _close_folders() -> None:
    """What was not closed is closed at the end, so that the next start has nothing to replay."""
    for client in list(_open_folders):
        # In a forked process the folders are the parent's.
        with contextlib.suppress(VecDBError):
            client.close()


def _pem(certificate: Certificate | None) -> bytes | None:
    if certificate is None or isinstance(certificate, bytes):
        return certificate
    try:
        with open(certificate, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidArgumentError(f"cannot read the certificate or key {os.fspath(certificate)!r}: {error}") from error


def _info(info: dict[str, Any]) -> CollectionInfo:
    config = info["config"]
    (vectors,) = config["vectors"].values()
    fields = info["fields"]["fields"]
    return CollectionInfo(
        name=info["name"],
        points=info["points"],
        dimension=vectors["dimension"],
        metric=vectors["metric"],
        element=vectors["element"],
        index=vectors["index"],
        fields={name: _field_type(field) for name, field in fields.items()},
        unindexed=[name for name, field in fields.items() if field.get("unindexed")],
        durability=config["durability"],
        segments=[AttributeDict(segment) for segment in info["segments"]],
        memtable_points=info["memtable_points"],
        memtable_bytes=info["memtable_bytes"],
        subset_graphs=info["subset_graphs"],
        subset_graph_bytes=info["subset_graph_bytes"],
        position=info["position"],
        flushed_position=info["flushed_position"],
        maintenance=AttributeDict(info["maintenance"]),
        searches=AttributeDict(info["searches"]),
    )


def _field_type(field: dict[str, Any]) -> str:
    stemmer = f"({field['stemmer']})" if field.get("stemmer") else ""
    return cast(str, field.get("kind") or "null") + stemmer + ("[]" if field.get("array") else "")
