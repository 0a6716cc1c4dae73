"""The same calls for asyncio. They run in threads: the work itself holds no interpreter lock."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from ._client import VecDBClient
from ._results import (
    Advice,
    AttributeDict,
    CollectionInfo,
    Facets,
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
from ._vecdb import Stop

T = TypeVar("T")


class AsyncVecDBClient:
    """:class:`VecDBClient` for asyncio: the same arguments, calls and errors.

    ``concurrency`` calls run at a time; more wait their turn. Cancelling a task ends its reads and searches, and an upsert
    before its next batch; a write under way may or may not have happened. Flush, compact, verify and the making of a
    snapshot run on to their end.
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
        concurrency: int = 32,
    ) -> None:
        self._client = VecDBClient(
            url,
            path=path,
            api_key=api_key,
            ca_certificate=ca_certificate,
            client_certificate=client_certificate,
            client_key=client_key,
            timeout=timeout,
            retries=retries,
            create=create,
            threads=threads,
            snapshots=snapshots,
            on_corruption=on_corruption,
            archive=archive,
            merge_bytes_per_second=merge_bytes_per_second,
        )
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="vecdb")
        self._process = os.getpid()

    @property
    def sync(self) -> VecDBClient:
        """The client that does the work, for code that is not async."""
        return self._client

    async def create_collection(
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
        """See :meth:`VecDBClient.create_collection`."""
        return await self._call(
            self._client.create_collection,
            name,
            dimension,
            metric,
            index_config,
            element=element,
            fields=fields,
            unindexed=unindexed,
            durability=durability,
        )

    async def get_collection(self, name: str) -> CollectionInfo:
        """See :meth:`VecDBClient.get_collection`."""
        return await self._call(self._client.get_collection, name)

    async def list_collections(self) -> list[AttributeDict]:
        """See :meth:`VecDBClient.list_collections`."""
        return await self._call(self._client.list_collections)

    async def drop_collection(self, name: str) -> None:
        """See :meth:`VecDBClient.drop_collection`."""
        await self._call(self._client.drop_collection, name)

    async def upsert(
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
        """See :meth:`VecDBClient.upsert`. ``progress`` is told in the thread that writes."""
        return await self._call(
            self._client.upsert,
            collection,
            vectors,
            ids=ids,
            metadata=metadata,
            batch_size=batch_size,
            durability=durability,
            progress=progress,
            timeout=timeout,
        )

    async def update_metadata(
        self,
        collection: str,
        ids: Sequence[PointId],
        metadata: Metadata,
        *,
        replace: bool = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """See :meth:`VecDBClient.update_metadata`."""
        return await self._call(
            self._client.update_metadata, collection, ids, metadata, replace=replace, timeout=timeout
        )

    async def delete(
        self,
        collection: str,
        ids: Sequence[PointId] | None = None,
        *,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """See :meth:`VecDBClient.delete`."""
        return await self._call(self._client.delete, collection, ids, filter=filter, timeout=timeout)

    async def get(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_vector: bool = False,
        with_metadata: bool = True,
        timeout: float | None = None,
    ) -> list[Record | None]:
        """See :meth:`VecDBClient.get`."""
        return await self._call(
            self._client.get,
            collection,
            ids,
            with_vector=with_vector,
            with_metadata=with_metadata,
            timeout=timeout,
        )

    async def scroll(
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
    ) -> AsyncIterator[Record]:
        """See :meth:`VecDBClient.scroll`; for ``async for``."""
        cursor: str | None = None
        while True:
            page, cursor = await self._call(
                self._client.scroll_page,
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
            for record in page:
                yield record
            if cursor is None:
                return

    async def scroll_page(
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
        """See :meth:`VecDBClient.scroll_page`."""
        return await self._call(
            self._client.scroll_page,
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

    async def count(self, collection: str, filter: Filter | None = None, *, timeout: float | None = None) -> int:
        """See :meth:`VecDBClient.count`."""
        return await self._call(self._client.count, collection, filter, timeout=timeout)

    async def query(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """See :meth:`VecDBClient.query`."""
        return await self._call(self._client.query, sql, params, timeout=timeout)

    async def search(
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
        """See :meth:`VecDBClient.search`."""
        return await self._call(
            self._client.search,
            collection,
            vector,
            limit,
            filter,
            params,
            max_distance=max_distance,
            min_score=min_score,
            with_vector=with_vector,
            with_metadata=with_metadata,
            truncate_after=truncate_after,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            explain=explain,
            explain_only=explain_only,
            cache=cache,
            timeout=timeout,
        )

    async def search_batch(
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
        """See :meth:`VecDBClient.search_batch`."""
        return await self._call(
            self._client.search_batch,
            collection,
            vectors,
            limit,
            filter,
            params,
            max_distance=max_distance,
            min_score=min_score,
            with_vector=with_vector,
            with_metadata=with_metadata,
            truncate_after=truncate_after,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            explain=explain,
            explain_only=explain_only,
            cache=cache,
            timeout=timeout,
        )

    async def recommend(
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
        """See :meth:`VecDBClient.recommend`."""
        return await self._call(
            self._client.recommend,
            collection,
            positive,
            negative,
            limit,
            filter,
            params,
            strategy=strategy,
            max_distance=max_distance,
            min_score=min_score,
            with_vector=with_vector,
            with_metadata=with_metadata,
            truncate_after=truncate_after,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            explain=explain,
            explain_only=explain_only,
            cache=cache,
            timeout=timeout,
        )

    async def facets(
        self,
        collection: str,
        field: str,
        limit: int = 10,
        filter: Filter | None = None,
        *,
        timeout: float | None = None,
    ) -> Facets:
        """See :meth:`VecDBClient.facets`."""
        return await self._call(self._client.facets, collection, field, limit, filter, timeout=timeout)

    async def create_field_index(self, collection: str, field: str, *, timeout: float | None = None) -> bool:
        """See :meth:`VecDBClient.create_field_index`."""
        return await self._call(self._client.create_field_index, collection, field, timeout=timeout)

    async def drop_field_index(self, collection: str, field: str) -> bool:
        """See :meth:`VecDBClient.drop_field_index`."""
        return await self._call(self._client.drop_field_index, collection, field)

    async def flush(self, collection: str) -> None:
        """See :meth:`VecDBClient.flush`."""
        await self._call(self._client.flush, collection)

    async def compact(self, collection: str) -> None:
        """See :meth:`VecDBClient.compact`."""
        await self._call(self._client.compact, collection)

    async def pause_merges(self) -> None:
        """See :meth:`VecDBClient.pause_merges`."""
        await self._call(self._client.pause_merges)

    async def resume_merges(self) -> None:
        """See :meth:`VecDBClient.resume_merges`."""
        await self._call(self._client.resume_merges)

    async def verify(self, collection: str | None = None, *, repair: bool = False) -> AttributeDict:
        """See :meth:`VecDBClient.verify`."""
        return await self._call(self._client.verify, collection, repair=repair)

    async def verify_archive(
        self, archive: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> AttributeDict:
        """See :meth:`VecDBClient.verify_archive`."""
        return await self._call(self._client.verify_archive, archive, timeout=timeout)

    async def advise(
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
        """See :meth:`VecDBClient.advise`."""
        return await self._call(
            self._client.advise,
            collection,
            target_recall,
            memory,
            limit,
            rows=rows,
            sample_rows=sample_rows,
            queries=queries,
            seed=seed,
            timeout=timeout,
        )

    async def create_snapshot(self, name: str | None = None, collections: Sequence[str] = ()) -> AttributeDict:
        """See :meth:`VecDBClient.create_snapshot`."""
        return await self._call(self._client.create_snapshot, name, collections)

    async def list_snapshots(self) -> list[AttributeDict]:
        """See :meth:`VecDBClient.list_snapshots`."""
        return await self._call(self._client.list_snapshots)

    async def restore_snapshot(
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
        """See :meth:`VecDBClient.restore_snapshot`."""
        return await self._call(
            self._client.restore_snapshot,
            name,
            collection,
            restore_as,
            to_sequence=to_sequence,
            to_time=to_time,
            to_latest=to_latest,
            archive=archive,
            timeout=timeout,
        )

    async def delete_snapshot(self, name: str) -> None:
        """See :meth:`VecDBClient.delete_snapshot`."""
        await self._call(self._client.delete_snapshot, name)

    async def status(self) -> AttributeDict:
        """See :meth:`VecDBClient.status`."""
        return await self._call(self._client.status)

    async def close(self) -> None:
        """See :meth:`VecDBClient.close`."""
        if not self._client.closed:
            await self._call(self._client.close)
        self._threads.shutdown(wait=False)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._client.closed

    async def __aenter__(self) -> AsyncVecDBClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._client)[1:]}"

    async def _call(self, call: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        if self._client.closed or os.getpid() != self._process:
            # The threads are gone, by closing or by a fork, which only copies the thread that made it: what is given to them
            # would wait for ever. The client itself says what is wrong.
            return call(*arguments, **options)
        work = functools.partial(contextvars.copy_context().run, call, *arguments, **options)
        stop = Stop()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, stop.run, work)
        except asyncio.CancelledError:
            stop.stop()
            raise
