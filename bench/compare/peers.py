"""The peers, each at its own customary settings, with its threads pinned."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol, TypeVar

import faiss
import hnswlib
import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Wall and processor seconds of one call."""

    seconds: float
    cpu_seconds: float


def timed(call: Callable[[], T]) -> tuple[T, Cost]:
    """Runs a call against the same clock that measures the runner."""
    cpu, start = time.process_time(), time.perf_counter()
    result = call()
    return result, Cost(time.perf_counter() - start, time.process_time() - cpu)


class GraphPeer(Protocol):
    """An HNSW index of another library."""

    name: str

    def build(self, base: np.ndarray, m: int, ef_construction: int, threads: int, seed: int) -> Cost: ...

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]: ...

    def memory_bytes(self) -> int: ...


class HnswlibPeer:
    """hnswlib; its index holds a copy of the vectors."""

    name = "hnswlib"

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._index: hnswlib.Index | None = None

    def build(self, base: np.ndarray, m: int, ef_construction: int, threads: int, seed: int) -> Cost:
        self._index = None

        def run() -> hnswlib.Index:
            index = hnswlib.Index(space=self._metric, dim=base.shape[1])
            index.init_index(max_elements=len(base), M=m, ef_construction=ef_construction, random_seed=seed)
            index.set_num_threads(threads)
            index.add_items(base, num_threads=threads)
            return index

        self._index, cost = timed(run)
        assert self._index.get_current_count() == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        self._index.set_ef(ef)
        self._index.set_num_threads(threads)
        (ids, _), cost = timed(lambda: self._index.knn_query(queries, k=k, num_threads=threads))
        return ids.astype(np.int64), cost

    def memory_bytes(self) -> int:
        assert self._index is not None
        return int(self._index.index_file_size())


class FaissHnswPeer:
    """faiss IndexHNSWFlat; cosine as inner product of normalised vectors."""

    name = "faiss-hnsw"

    def __init__(self, metric: str) -> None:
        self._cosine = metric == "cosine"
        self._index: faiss.IndexHNSWFlat | None = None

    def build(self, base: np.ndarray, m: int, ef_construction: int, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2

        def run() -> faiss.IndexHNSWFlat:
            index = faiss.IndexHNSWFlat(base.shape[1], m, metric)
            index.hnsw.efConstruction = ef_construction
            index.hnsw.rng = faiss.RandomGenerator(seed)
            index.add(self._prepared(base))
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._index.hnsw.efSearch = ef
        (_, ids), cost = timed(lambda: self._index.search(self._prepared(queries), k))
        return ids, cost

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)

    def _prepared(self, vectors: np.ndarray) -> np.ndarray:
        if not self._cosine:
            return vectors
        vectors = vectors.copy()
        faiss.normalize_L2(vectors)
        return vectors


class FaissFlatPeer:
    """faiss IndexFlatL2: exact search of a batch."""

    name = "faiss-flat"

    def __init__(self, base: np.ndarray) -> None:
        self._index = faiss.IndexFlatL2(base.shape[1])
        self._index.add(base)
        assert self._index.ntotal == len(base)

    def search(self, queries: np.ndarray, k: int, threads: int) -> tuple[np.ndarray, Cost]:
        faiss.omp_set_num_threads(threads)
        (_, ids), cost = timed(lambda: self._index.search(queries, k))
        return ids, cost


GRAPH_PEERS: dict[str, Callable[[str], GraphPeer]] = {"hnswlib": HnswlibPeer, "faiss-hnsw": FaissHnswPeer}


def versions() -> dict[str, str]:
    """What is compared with."""
    return {name: version(name) for name in ("faiss-cpu", "hnswlib", "numpy")}
