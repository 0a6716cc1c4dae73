"""Peers of the storage engine, each embedded in this process on a folder of its own: durable loads, and opening again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from peers import import_lancedb


@dataclass(frozen=True)
class Points:
    """One batch: ids, vectors, and for each the fields `label`, `rank` and `place`."""

    ids: range
    vectors: np.ndarray
    fields: Sequence[dict[str, Any]]


class StoragePeer(Protocol):
    """A database in a folder. `package` names its distribution; `guarantee` says what is safe once `write` has returned."""

    name: str
    package: str
    guarantee: str

    def __init__(self, folder: Path, dim: int) -> None:
        """Opens what is in the folder, or makes it."""

    def prepared(self, points: Points) -> Any:
        """The batch as the client takes it: made before the clock runs."""

    def write(self, prepared: Any) -> None: ...

    def search(self, query: np.ndarray, k: int) -> list[int]: ...

    def close(self) -> None: ...


class Qdrant:
    """qdrant-client on a folder: all vectors in numpy, searched exactly, beside SQLite."""

    name = "qdrant"
    package = "qdrant-client"
    guarantee = "a transaction of SQLite for every point, each synced (four times, with the rollback journal)"

    def __init__(self, folder: Path, dim: int) -> None:
        from qdrant_client import QdrantClient, models

        self._client = QdrantClient(path=str(folder))
        if not self._client.collection_exists("c"):
            size = models.VectorParams(size=dim, distance=models.Distance.EUCLID)
            self._client.create_collection("c", vectors_config=size)

    def prepared(self, points: Points) -> Any:
        from qdrant_client import models

        return models.Batch(ids=list(points.ids), vectors=points.vectors.tolist(), payloads=list(points.fields))

    def write(self, prepared: Any) -> None:
        self._client.upsert("c", prepared)

    def search(self, query: np.ndarray, k: int) -> list[int]:
        found = self._client.query_points("c", query=query, limit=k, with_payload=False)
        return [int(point.id) for point in found.points]

    def close(self) -> None:
        self._client.close()


class Lance:
    """lancedb on a folder, without an index: a search scans everything."""

    name = "lancedb"
    package = "lancedb"
    guarantee = "a data file and a new version for every batch, renamed into place; nothing is synced: survives a killed process"

    def __init__(self, folder: Path, dim: int) -> None:
        lancedb = import_lancedb()
        import pyarrow

        vector = pyarrow.list_(pyarrow.float32(), dim)
        self._schema = pyarrow.schema({
            "id": pyarrow.int64(),
            "label": pyarrow.string(),
            "rank": pyarrow.float64(),
            "place": pyarrow.float64(),
            "vector": vector,
        })
        self._table = lancedb.connect(str(folder)).create_table("c", schema=self._schema, exist_ok=True)

    def prepared(self, points: Points) -> Any:
        import pyarrow

        values = pyarrow.array(points.vectors.reshape(-1))
        vectors = pyarrow.FixedSizeListArray.from_arrays(values, points.vectors.shape[1])
        columns = {name: [one[name] for one in points.fields] for name in ("label", "rank", "place")}
        return pyarrow.table({"id": list(points.ids), **columns, "vector": vectors}, schema=self._schema)

    def write(self, prepared: Any) -> None:
        self._table.add(prepared)

    def search(self, query: np.ndarray, k: int) -> list[int]:
        search = self._table.search(query, vector_column_name="vector").distance_type("l2")
        return search.limit(k).select(["id", "_distance"]).to_arrow()["id"].to_pylist()

    def close(self) -> None:
        pass


class Chroma:
    """chromadb on a folder: hnswlib, brought up to date by every write, beside SQLite."""

    name = "chroma"
    package = "chromadb"
    guarantee = "transactions of SQLite for every batch, synced; the graph, which they can be read into again, is not"

    def __init__(self, folder: Path, dim: int) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
        self._collection = self._client.get_or_create_collection(
            "rows", configuration={"hnsw": {"space": "l2"}}, embedding_function=None
        )

    def prepared(self, points: Points) -> Any:
        ids = [str(row) for row in points.ids]
        return {"ids": ids, "embeddings": points.vectors, "metadatas": list(points.fields)}

    def write(self, prepared: Any) -> None:
        self._collection.add(**prepared)

    def search(self, query: np.ndarray, k: int) -> list[int]:
        found = self._collection.query(query_embeddings=[query], n_results=k, include=[])
        return [int(name) for name in found["ids"][0]]

    def close(self) -> None:
        self._client.close()


class MilvusLite:
    """Milvus Lite in a folder, with the client of Milvus; graphs are built beside the load, for what is no longer in memory."""

    name = "milvus-lite"
    package = "milvus-lite"
    guarantee = "a log that is synced only once files replace it: survives a killed process"

    def __init__(self, folder: Path, dim: int) -> None:
        from pymilvus import DataType, MilvusClient

        self._file = str(folder / "milvus.db")
        self._client = MilvusClient(self._file)
        if self._client.has_collection("c"):
            self._client.load_collection("c")
            return
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("label", DataType.VARCHAR, max_length=64)
        schema.add_field("rank", DataType.DOUBLE)
        schema.add_field("place", DataType.DOUBLE)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 200})
        self._client.create_collection("c", schema=schema, index_params=index)

    def prepared(self, points: Points) -> Any:
        rows = zip(points.ids, points.vectors, points.fields, strict=True)
        return [{"id": row, "vector": vector, **fields} for row, vector, fields in rows]

    def write(self, prepared: Any) -> None:
        self._client.insert("c", prepared)

    def search(self, query: np.ndarray, k: int) -> list[int]:
        found = self._client.search("c", data=[query], limit=k, anns_field="vector")
        return [int(hit["id"]) for hit in found[0]]

    def close(self) -> None:
        from milvus_lite.server_manager import server_manager_instance

        self._client.close()
        server_manager_instance.release_server(self._file)


STORAGE_PEERS: list[type[StoragePeer]] = [Qdrant, Lance, Chroma, MilvusLite]
