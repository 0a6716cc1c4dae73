"""The peers, each at its own customary settings, with its threads pinned."""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import faiss
import hnswlib
import numpy as np

from processes import START_SECONDS_MAX, Server

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

    def __init__(self, metric: str, m: int, ef_construction: int) -> None: ...

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost: ...

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]: ...

    def memory_bytes(self) -> int: ...


class HnswlibPeer:
    """hnswlib; its index holds a copy of the vectors."""

    name = "hnswlib"

    def __init__(self, metric: str, m: int, ef_construction: int) -> None:
        self._metric, self._m, self._ef_construction = metric, m, ef_construction
        self._index: hnswlib.Index | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None

        def run() -> hnswlib.Index:
            index = hnswlib.Index(space=self._metric, dim=base.shape[1])
            index.init_index(max_elements=len(base), M=self._m, ef_construction=self._ef_construction, random_seed=seed)
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

    def __init__(self, metric: str, m: int, ef_construction: int) -> None:
        self._cosine, self._m, self._ef_construction = metric == "cosine", m, ef_construction
        self._index: faiss.IndexHNSWFlat | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2

        def run() -> faiss.IndexHNSWFlat:
            index = faiss.IndexHNSWFlat(base.shape[1], self._m, metric)
            index.hnsw.efConstruction = self._ef_construction
            index.hnsw.rng = faiss.RandomGenerator(seed)
            index.add(prepared(base, self._cosine))
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._index.hnsw.efSearch = ef
        (_, ids), cost = timed(lambda: self._index.search(prepared(queries, self._cosine), k))
        return ids, cost

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)


class FaissHnswSq8Peer:
    """faiss IndexHNSWSQ of eight bits a number, refined by the vectors: three times k."""

    name = "faiss-hnsw-sq8"

    def __init__(self, metric: str, m: int, ef_construction: int) -> None:
        self._cosine, self._m, self._ef_construction = metric == "cosine", m, ef_construction
        self._index: faiss.IndexRefineFlat | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2

        def run() -> faiss.IndexRefineFlat:
            self._graph = faiss.IndexHNSWSQ(base.shape[1], faiss.ScalarQuantizer.QT_8bit, self._m, metric)
            self._graph.hnsw.efConstruction = self._ef_construction
            self._graph.hnsw.rng = faiss.RandomGenerator(seed)
            index = faiss.IndexRefineFlat(self._graph)
            vectors = prepared(base, self._cosine)
            index.train(vectors)
            index.add(vectors)
            index.k_factor = 3
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._graph.hnsw.efSearch = max(ef, 3 * k)
        (_, ids), cost = timed(lambda: self._index.search(prepared(queries, self._cosine), k))
        return ids, cost

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)


class UsearchPeer:
    """usearch with float32 vectors."""

    name = "usearch"

    def __init__(self, metric: str, m: int, ef_construction: int) -> None:
        self._metric, self._m, self._ef_construction = {"l2": "l2sq", "cosine": "cos"}[metric], m, ef_construction
        self._index: Any = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        from usearch.index import Index

        self._index = None

        def run() -> Any:
            index = Index(
                ndim=base.shape[1],
                metric=self._metric,
                dtype="f32",
                connectivity=self._m,
                expansion_add=self._ef_construction,
            )
            index.add(np.arange(len(base)), base, threads=threads)
            return index

        self._index, cost = timed(run)
        assert len(self._index) == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Cost]:
        self._index.expansion_search = ef
        found, cost = timed(lambda: self._index.search(queries, k, threads=threads))
        return found.keys.astype(np.int64), cost

    def memory_bytes(self) -> int:
        return int(self._index.serialized_length)


class SvsPeer:
    """Vamana of Intel SVS over compressed vectors; it keeps no others. Cosine as inner product of vectors of unit length."""

    name: str

    @staticmethod
    def runs_here() -> bool:
        """Its compression ends the process on processors of other makers."""
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")

    def __init__(self, metric: str, m: int, ef_construction: int) -> None:
        self._cosine, self._degree, self._window = metric == "cosine", 2 * m, ef_construction
        self._index: Any = None

    def compressed(self, svs: Any, vectors: Any, dim: int) -> Any:
        raise NotImplementedError

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        import svs

        self._index = None
        vectors = prepared(base, self._cosine)
        with tempfile.TemporaryDirectory() as folder:
            raw, ready = str(Path(folder) / "base.fvecs"), str(Path(folder) / "base.svs")
            svs.write_vecs(np.ascontiguousarray(vectors), raw)
            svs.convert_vecs_to_svs(raw, ready, svs.DataType.float32)

            def run() -> Any:
                file = svs.VectorDataLoader(ready, svs.DataType.float32, dims=base.shape[1])
                loader = self.compressed(svs, file, base.shape[1])
                # What its documentation names for each metric.
                alpha = 0.95 if self._cosine else 1.2
                parameters = svs.VamanaBuildParameters(
                    alpha=alpha, graph_max_degree=self._degree, window_size=self._window
                )
                distance = svs.DistanceType.MIP if self._cosine else svs.DistanceType.L2
                return svs.Vamana.build(parameters, loader, distance, num_threads=threads)

            self._index, cost = timed(run)
        self._bytes = self.bytes_per_vector(base.shape[1]) * len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, window: int, threads: int) -> tuple[np.ndarray, Cost]:
        self._index.num_threads = threads
        self._index.search_window_size = max(window, k)
        asked = np.ascontiguousarray(prepared(queries, self._cosine))
        (ids, _), cost = timed(lambda: self._index.search(asked, k))
        return ids.astype(np.int64), cost

    def bytes_per_vector(self, dim: int) -> int:
        """By its formats: codes with two scales of 16 bits each, links of 32 bits with their number."""
        raise NotImplementedError

    def memory_bytes(self) -> int:
        return self._bytes


class SvsLvqPeer(SvsPeer):
    """Four bits for the walk, eight of what they miss for the hits."""

    name = "svs-lvq4x8"

    def compressed(self, svs: Any, vectors: Any, dim: int) -> Any:
        return svs.LVQLoader(vectors, primary=4, residual=8)

    def bytes_per_vector(self, dim: int) -> int:
        return dim // 2 + dim + 4 + 4 * (self._degree + 1)


class SvsLeanVecPeer(SvsPeer):
    """A projection in eight bits for the walk, all numbers in eight bits for the hits."""

    name = "svs-leanvec"

    def compressed(self, svs: Any, vectors: Any, dim: int) -> Any:
        kind = svs.LeanVecKind.lvq8
        return svs.LeanVecLoader(vectors, leanvec_dims=self.projected(dim), primary_kind=kind, secondary_kind=kind)

    def projected(self, dim: int) -> int:
        return min(192, dim * 3 // 4)

    def bytes_per_vector(self, dim: int) -> int:
        return self.projected(dim) + dim + 8 + 4 * (self._degree + 1)


def prepared(vectors: np.ndarray, cosine: bool) -> np.ndarray:
    """As faiss wants them: cosine is the inner product of vectors of unit length."""
    if not cosine:
        return vectors
    vectors = vectors.copy()
    faiss.normalize_L2(vectors)
    return vectors


class FaissIvfFlatPeer:
    """faiss IndexIVFFlat over a flat quantizer, with its own choice of training rows."""

    name = "faiss-ivf-flat"

    def __init__(self, metric: str, lists: int) -> None:
        self._cosine, self._lists = metric == "cosine", lists
        self._index: faiss.IndexIVFFlat | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2
        dim = base.shape[1]

        def run() -> faiss.IndexIVFFlat:
            quantizer = faiss.IndexFlatIP(dim) if self._cosine else faiss.IndexFlatL2(dim)
            index = faiss.IndexIVFFlat(quantizer, dim, self._lists, metric)
            index.cp.seed = seed
            vectors = prepared(base, self._cosine)
            index.train(vectors)
            index.add(vectors)
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, nprobe: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._index.nprobe = nprobe
        return one_by_one(self._index, prepared(queries, self._cosine), k)

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)


class FaissIvfPqPeer:
    """faiss IndexIVFPQFastScan of residuals, four bits a segment, refined by the vectors. Its knob is the number of lists
    and, in times k, of the candidates refined."""

    name = "faiss-ivf-pq"

    def __init__(self, metric: str, lists: int, segments: int) -> None:
        self._cosine, self._lists, self._segments = metric == "cosine", lists, segments
        self._index: faiss.IndexRefineFlat | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2
        dim = base.shape[1]

        def run() -> faiss.IndexRefineFlat:
            self._quantizer = faiss.IndexFlatIP(dim) if self._cosine else faiss.IndexFlatL2(dim)
            self._codes = faiss.IndexIVFPQFastScan(self._quantizer, dim, self._lists, self._segments, 4, metric)
            self._codes.cp.seed = seed
            index = faiss.IndexRefineFlat(self._codes)
            vectors = prepared(base, self._cosine)
            index.train(vectors)
            index.add(vectors)
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, knob: tuple[int, int], threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._codes.nprobe, self._index.k_factor = knob
        return one_by_one(self._index, prepared(queries, self._cosine), k)

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)


class FaissLshPeer:
    """faiss IndexLSH of rotated bits, refined by the vectors. Its knob is the number of candidates, in times k. Cosine is
    the distance of vectors of unit length."""

    def __init__(self, metric: str, bits: int) -> None:
        self.name = f"faiss-lsh-{bits}"
        self._cosine, self._bits = metric == "cosine", bits
        self._index: faiss.IndexRefineFlat | None = None

    def build(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        self._index = None
        faiss.omp_set_num_threads(threads)
        dim = base.shape[1]

        def run() -> faiss.IndexRefineFlat:
            self._codes = faiss.IndexLSH(dim, self._bits, True, True)
            index = faiss.IndexRefineFlat(self._codes)
            vectors = prepared(base, self._cosine)
            index.train(vectors)
            index.add(vectors)
            return index

        self._index, cost = timed(run)
        assert self._index.ntotal == len(base)
        return cost

    def search(self, queries: np.ndarray, k: int, factor: int, threads: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(threads)
        self._index.k_factor = factor
        return one_by_one(self._index, prepared(queries, self._cosine), k)

    def memory_bytes(self) -> int:
        return int(faiss.serialize_index(self._index).nbytes)


class FaissPqPeer:
    """faiss IndexPQ, eight bits a segment: training, coding and search apart."""

    name = "faiss-pq"

    def __init__(self, metric: str, segments: int) -> None:
        self._cosine, self._segments = metric == "cosine", segments
        self._index: faiss.IndexPQ | None = None

    def train(self, base: np.ndarray, threads: int, seed: int) -> Cost:
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_INNER_PRODUCT if self._cosine else faiss.METRIC_L2

        def run() -> faiss.IndexPQ:
            index = faiss.IndexPQ(base.shape[1], self._segments, 8, metric)
            index.pq.cp.seed = seed
            index.train(prepared(base, self._cosine))
            return index

        self._index, cost = timed(run)
        return cost

    def encode(self, base: np.ndarray) -> Cost:
        assert self._index is not None
        _, cost = timed(lambda: self._index.add(prepared(base, self._cosine)))
        return cost

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, Cost]:
        assert self._index is not None
        faiss.omp_set_num_threads(1)
        return one_by_one(self._index, prepared(queries, self._cosine), k)


def one_by_one(index: Any, queries: np.ndarray, k: int) -> tuple[np.ndarray, Cost]:
    """A query a call, as ours are searched: a batch would share the reading of what it compares."""
    return timed(lambda: np.vstack([index.search(queries[q : q + 1], k)[1] for q in range(len(queries))]))


def faiss_kmeans(base: np.ndarray, clusters: int, iterations: int, threads: int, seed: int) -> np.ndarray:
    """Centroids of all rows, from random starts, after so many iterations."""
    faiss.omp_set_num_threads(threads)
    learned = faiss.Kmeans(
        base.shape[1], clusters, niter=iterations, seed=seed, max_points_per_centroid=len(base), min_points_per_centroid=1
    )
    learned.train(base)
    return learned.centroids


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


class BulkPeer(Server):
    """A server of another database that takes points with metadata, by its own client."""

    name: str

    def batches(self, base: np.ndarray, metadata: Sequence[dict[str, Any]], size: int) -> list[Any]:
        """The points as its client takes them: made before the clock runs."""
        raise NotImplementedError

    def load(self, batches: list[Any]) -> None:
        raise NotImplementedError

    def count(self) -> int:
        raise NotImplementedError


class ChromaServer(BulkPeer):
    """The server of Chroma; its log is SQLite."""

    name = "chroma"

    def __init__(self, folder: Path, work: Path, metric: str, dim: int) -> None:
        import chromadb  # slow to import, and of one case only
        from chromadb.config import Settings

        port = free_port()
        super().__init__([program("chroma"), "run", "--path", str(folder), "--port", str(port)], work / "chroma.log")
        self.wait_until_ready(f"http://127.0.0.1:{port}/api/v2/heartbeat", time.monotonic() + START_SECONDS_MAX)
        client = chromadb.HttpClient("127.0.0.1", port, settings=Settings(anonymized_telemetry=False))
        space = {"hnsw": {"space": metric}}
        self._collection = client.create_collection("bench", configuration=space, embedding_function=None)

    def batches(self, base: np.ndarray, metadata: Sequence[dict[str, Any]], size: int) -> list[Any]:
        # It knows neither nulls nor empty lists.
        fields = [{key: value for key, value in one.items() if value not in (None, [])} for one in metadata]
        ids = [str(row) for row in range(len(base))]
        return [{"ids": ids[part], "embeddings": base[part], "metadatas": fields[part]} for part in parts(base, size)]

    def load(self, batches: list[Any]) -> None:
        for batch in batches:
            self._collection.upsert(**batch)

    def count(self) -> int:
        return int(self._collection.count())


class MilvusLiteServer(BulkPeer):
    """The stand-alone server of Milvus Lite, with the client of Milvus."""

    name = "milvus-lite"

    def __init__(self, folder: Path, work: Path, metric: str, dim: int) -> None:
        from pymilvus import DataType, MilvusClient, MilvusException

        port = free_port()
        address = ["--host", "127.0.0.1", "--port", str(port)]
        super().__init__([program("milvus-lite"), "server", "--data-dir", str(folder), *address], work / "milvus.log")
        self._client, end = None, time.monotonic() + START_SECONDS_MAX
        while self._client is None and self.check_time(end):
            with contextlib.suppress(MilvusException):
                self._client = MilvusClient(f"http://127.0.0.1:{port}", timeout=2)
        client = self._client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type=metric.upper(), params={"M": 16, "efConstruction": 200})
        client.create_collection("bench", schema=schema, index_params=index)

    def batches(self, base: np.ndarray, metadata: Sequence[dict[str, Any]], size: int) -> list[Any]:
        rows = [{**one, "id": row, "vector": base[row]} for row, one in enumerate(metadata)]
        return [rows[part] for part in parts(base, size)]

    def load(self, batches: list[Any]) -> None:
        for batch in batches:
            self._client.upsert("bench", batch)

    def count(self) -> int:
        return int(self._client.query("bench", output_fields=["count(*)"])[0]["count(*)"])

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        super().stop()


def import_lancedb() -> Any:
    """It takes our module `datasets` for a package of that name; whoever needs ours has it by now."""
    sys.modules.pop("datasets", None)
    import lancedb

    return lancedb


def parts(base: np.ndarray, size: int) -> list[slice]:
    return [slice(first, min(first + size, len(base))) for first in range(0, len(base), size)]


def program(name: str) -> str:
    """A program of the environment that this runs in."""
    return str(Path(sys.executable).with_name(name))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


GRAPH_PEERS: dict[str, Callable[[str], GraphPeer]] = {"hnswlib": HnswlibPeer, "faiss-hnsw": FaissHnswPeer}
BULK_PEERS: list[type[BulkPeer]] = [ChromaServer, MilvusLiteServer]


def versions(*packages: str) -> dict[str, str]:
    """What is compared with."""
    return {name: version(name) for name in packages or ("faiss-cpu", "hnswlib", "numpy")}
