"""Types of the compiled module; see ``vecdb._client`` for what the calls mean."""

import datetime
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ._results import Facets, QueryResult, Record, SearchResults, WriteResult

__version__: str

T = TypeVar("T")

class Stop:
    def run(self, work: Callable[[], T]) -> T: ...
    def stop(self) -> None: ...

class Connection:
    @staticmethod
    def open(
        path: str | os.PathLike[str],
        create: bool,
        threads: int,
        snapshots: str | None,
        on_corruption: str,
        archive: str | None,
        merge_bytes_per_second: int,
    ) -> Connection: ...
    @staticmethod
    def connect(
        url: str,
        api_key: str | None,
        ca_certificate: bytes | None,
        client_certificate: bytes | None,
        client_key: bytes | None,
        timeout: float | None,
        retries: int,
    ) -> Connection: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def create_collection(
        self,
        name: str,
        dimension: int,
        metric: str,
        index: Any,
        element: str | None,
        fields: dict[str, str] | None,
        unindexed: list[str],
        durability: Any,
    ) -> dict[str, Any]: ...
    def collections(self) -> list[dict[str, Any]]: ...
    def collection(self, name: str) -> dict[str, Any]: ...
    def drop_collection(self, name: str) -> None: ...
    def upsert(
        self,
        collection: str,
        batches: Iterable[tuple[Any, ...]],
        durability: Any,
        timeout: float | None,
        batch_timeout: float | None,
        answered: Callable[[WriteResult], None],
    ) -> None: ...
    def update_metadata(
        self, collection: str, ids: Any, metadata: Any, replace: bool, timeout: float | None
    ) -> WriteResult: ...
    def delete(self, collection: str, ids: Any, filter: Any, timeout: float | None) -> WriteResult: ...
    def get(
        self, collection: str, ids: Any, with_vector: bool, with_metadata: bool, timeout: float | None
    ) -> list[Record | None]: ...
    def scroll(
        self,
        collection: str,
        cursor: str | None,
        limit: int,
        filter: Any,
        with_vector: bool,
        with_metadata: bool,
        order_by: str | None,
        descending: bool,
        timeout: float | None,
    ) -> tuple[list[Record], str | None]: ...
    def count(self, collection: str, filter: Any, timeout: float | None) -> int: ...
    def query(self, sql: str, params: Any, timeout: float | None) -> QueryResult: ...
    def search(
        self,
        collection: str,
        vector: Any,
        limit: int,
        filter: Any,
        params: Any,
        max_distance: float | None,
        min_score: float | None,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: float | None,
        offset: int,
        group_by: str | None,
        group_size: int,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: float | None,
    ) -> SearchResults: ...
    def search_batch(
        self,
        collection: str,
        vectors: Any,
        limit: int,
        filter: Any,
        params: Any,
        max_distance: float | None,
        min_score: float | None,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: float | None,
        offset: int,
        group_by: str | None,
        group_size: int,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: float | None,
    ) -> list[SearchResults]: ...
    def recommend(
        self,
        collection: str,
        positive: Any,
        negative: Any,
        strategy: str,
        limit: int,
        filter: Any,
        params: Any,
        max_distance: float | None,
        min_score: float | None,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: float | None,
        offset: int,
        group_by: str | None,
        group_size: int,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: float | None,
    ) -> SearchResults: ...
    def facets(self, collection: str, field: str, limit: int, filter: Any, timeout: float | None) -> Facets: ...
    def create_field_index(self, collection: str, field: str, timeout: float | None) -> bool: ...
    def drop_field_index(self, collection: str, field: str) -> bool: ...
    def flush(self, collection: str) -> None: ...
    def compact(self, collection: str) -> None: ...
    def pause_merges(self) -> None: ...
    def resume_merges(self) -> None: ...
    def verify(self, collection: str | None, repair: bool) -> dict[str, Any]: ...
    def verify_archive(self, archive: str | None, timeout: float | None) -> dict[str, Any]: ...
    def advise(
        self,
        collection: str,
        target_recall: float,
        memory: int | None,
        limit: int,
        rows: int | None,
        sample_rows: int,
        queries: int,
        seed: int,
        timeout: float | None,
    ) -> dict[str, Any]: ...
    def create_snapshot(self, name: str | None, collections: list[str]) -> dict[str, Any]: ...
    def list_snapshots(self) -> list[dict[str, Any]]: ...
    def restore_snapshot(
        self,
        name: str,
        collection: str | None,
        restore_as: str | None,
        to_sequence: int | None,
        to_time: datetime.datetime | None,
        to_latest: bool,
        archive: str | None,
        timeout: float | None,
    ) -> dict[str, Any]: ...
    def delete_snapshot(self, name: str) -> None: ...
    def status(self) -> dict[str, Any]: ...
