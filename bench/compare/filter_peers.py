"""Peers of filtered searches, each embedded in this process, with indexes on the filtered fields where it has such."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from datasets import Dataset
from peers import import_lancedb

BATCH = 5_000


@dataclass(frozen=True)
class Range:
    """`low` to `high` of a field, both included."""

    field: str
    low: float
    high: float

    def shifted(self, by: float) -> Range:
        """Nearly the same range, in other numbers."""
        return Range(self.field, self.low + by, self.high)

    def to_mongo(self) -> dict[str, Any]:
        return {self.field: {"$gte": self.low, "$lte": self.high}}


class FilterPeer(Protocol):
    """A database with the rows of a data set and their fields `rank` and `place`."""

    name: str
    # With more it takes hours: such data sets are compared without it.
    rows_max: int | None
    version: str

    def __init__(self, folder: Path, dataset: Dataset) -> None: ...

    def load(self, rank: np.ndarray, place: np.ndarray) -> None: ...

    def search(self, query: int, wanted: Range, k: int) -> list[int]: ...

    def close(self) -> None: ...


class Qdrant:
    """qdrant-client on a folder: exact scans in numpy."""

    name = "qdrant"
    rows_max = 200_000

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        from qdrant_client import QdrantClient

        self.version = version("qdrant-client")
        self.dataset = dataset
        self.client = QdrantClient(path=str(folder))

    def load(self, rank: np.ndarray, place: np.ndarray) -> None:
        from qdrant_client import models

        metric = {"l2": models.Distance.EUCLID, "cosine": models.Distance.COSINE}[self.dataset.metric]
        base = self.dataset.base
        size = models.VectorParams(size=base.shape[1], distance=metric)
        self.client.create_collection("c", vectors_config=size)
        for start in range(0, len(base), BATCH):
            rows = range(start, min(start + BATCH, len(base)))
            payloads = [{"rank": float(rank[row]), "place": float(place[row])} for row in rows]
            points = models.Batch(ids=list(rows), vectors=base[start : rows.stop].tolist(), payloads=payloads)
            self.client.upsert("c", points)

    def search(self, query: int, wanted: Range, k: int) -> list[int]:
        from qdrant_client import models

        condition = models.FieldCondition(key=wanted.field, range=models.Range(gte=wanted.low, lte=wanted.high))
        found = self.client.query_points(
            "c", query=self.dataset.queries[query], query_filter=models.Filter(must=[condition]), limit=k
        )
        return [point.id for point in found.points]

    def close(self) -> None:
        self.client.close()


class Lance:
    """lancedb on a folder: IVF with HNSW over eight-bit codes, B-trees on the fields, re-ranked."""

    name = "lancedb"
    rows_max = None

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        lancedb = import_lancedb()

        self.version = version("lancedb")
        self.dataset = dataset
        self.database = lancedb.connect(str(folder))

    def load(self, rank: np.ndarray, place: np.ndarray) -> None:
        import pyarrow

        base = self.dataset.base
        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(base.reshape(-1)), base.shape[1])
        columns = {"id": np.arange(len(base)), "rank": rank, "place": place, "vector": vectors}
        self.table = self.database.create_table("c", pyarrow.table(columns))
        self.table.create_index(metric=self.dataset.metric, vector_column_name="vector", index_type="IVF_HNSW_SQ")
        for field in ("rank", "place"):
            self.table.create_scalar_index(field, index_type="BTREE")

    def search(self, query: int, wanted: Range, k: int) -> list[int]:
        where = f"{wanted.field} >= {wanted.low!r} AND {wanted.field} <= {wanted.high!r}"
        search = self.table.search(self.dataset.queries[query], vector_column_name="vector")
        search = search.distance_type(self.dataset.metric).where(where, prefilter=True)
        found = search.nprobes(20).refine_factor(5).limit(k).select(["id", "_distance"]).to_arrow()
        return found["id"].to_pylist()

    def close(self) -> None:
        pass


class Chroma:
    """chromadb on a folder: hnswlib beside SQLite."""

    name = "chroma"
    rows_max = 200_000

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        import chromadb
        from chromadb.config import Settings

        self.version = version("chromadb")
        self.dataset = dataset
        self.client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))

    def load(self, rank: np.ndarray, place: np.ndarray) -> None:
        base = self.dataset.base
        space = {"l2": "l2", "cosine": "cosine"}[self.dataset.metric]
        self.collection = self.client.create_collection("rows", configuration={"hnsw": {"space": space}})
        for start in range(0, len(base), BATCH):
            rows = range(start, min(start + BATCH, len(base)))
            self.collection.add(
                ids=[str(row) for row in rows],
                embeddings=base[start : rows.stop],
                metadatas=[{"rank": float(rank[row]), "place": float(place[row])} for row in rows],
            )

    def search(self, query: int, wanted: Range, k: int) -> list[int]:
        where: Any = {"$and": [{wanted.field: {"$gte": wanted.low}}, {wanted.field: {"$lte": wanted.high}}]}
        found = self.collection.query(
            query_embeddings=[self.dataset.queries[query]], n_results=k, where=where, include=[]
        )
        return [int(name) for name in found["ids"][0]]

    def close(self) -> None:
        pass


FILTER_PEERS: list[type[FilterPeer]] = [Qdrant, Lance, Chroma]
