"""The data sets as float32, with exact truth; rotated and shortened copies of them."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TRUTH_DEPTH = 100
REPOSITORY = Path(__file__).resolve().parents[2]
FASHION_CLASSES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


class MissingData(RuntimeError):
    """The data sets are not where they are looked for."""


@dataclass(frozen=True)
class Dataset:
    """Vectors of float32. `truth[q]` holds the distances of the nearest rows to query `q`, nearest first, for the first
    `len(truth)` queries: squared L2, or 1 - cosine similarity."""

    name: str
    metric: str
    base: np.ndarray
    queries: np.ndarray
    truth: np.ndarray
    note: str

    @property
    def scored(self) -> int:
        return len(self.truth)

    def distances(self, ids: np.ndarray) -> np.ndarray:
        """Float64 distances of the rows `ids[q]` to the scored queries; infinite where an id is -1 or repeated."""
        ids = ids[: self.scored]
        rows = self.base[np.clip(ids, 0, len(self.base) - 1)].astype(np.float64)
        queries = self.queries[: self.scored, None, :].astype(np.float64)
        if self.metric == "l2":
            result = np.square(rows - queries).sum(axis=2)
        else:
            norms = np.linalg.norm(rows, axis=2) * np.linalg.norm(queries, axis=2)
            result = 1.0 - (rows * queries).sum(axis=2) / norms
        return np.where((ids < 0) | _repeated(ids), np.inf, result)


def _repeated(ids: np.ndarray) -> np.ndarray:
    """True at every place whose id stands further left in the same row."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    again = np.zeros(ids.shape, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    result = np.zeros_like(again)
    np.put_along_axis(result, order, again, axis=1)
    return result


def data_folder() -> Path:
    """`VECDB_TEST_DATA`, else `../shared/data` beside the repository."""
    given = os.environ.get("VECDB_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        raise MissingData(f"no data sets in {folder}: set VECDB_TEST_DATA to the folder that holds fashion-mnist and debian-packages")
    return folder


def _file(*parts: str) -> Path:
    path = data_folder().joinpath(*parts)
    if not path.is_file():
        raise MissingData(f"{path} is missing: set VECDB_TEST_DATA to the folder that holds {parts[0]}")
    return path


def fashion_mnist(limit: int | None = None) -> Dataset:
    """60,000 x 784 images, 10,000 queries of which the first 1,000 have truth."""
    base = _idx_images(_file("fashion-mnist", "train-images-idx3-ubyte.gz"))
    queries = _idx_images(_file("fashion-mnist", "t10k-images-idx3-ubyte.gz"))
    truth = _fvecs(_file("fashion-mnist", "groundtruth_l2_top100_dist.fvecs")).astype(np.float64) ** 2
    return _shortened(Dataset("fashion-mnist", "l2", base, queries, truth, "stored values"), limit)


def fashion_mnist_labels(rows: int) -> list[str]:
    """What the first images show."""
    path = _file("fashion-mnist", "train-labels-idx1-ubyte.gz")
    with gzip.open(path) as file:
        content = file.read()
    magic, _ = np.frombuffer(content, ">u4", 2)
    if magic != 0x801:
        raise MissingData(f"{path} starts with {magic:#x}, not with the 0x801 of MNIST labels")
    return [FASHION_CLASSES[label] for label in content[8 : 8 + rows]]


def debian_packages(limit: int | None = None) -> Dataset:
    """60,069 x 384 sentence embeddings, 1,000 queries, repeated five times for timing."""
    base = np.load(_file("debian-packages", "base.f16.npy")).astype(np.float32)
    queries = np.load(_file("debian-packages", "queries.npy"))
    truth = 1.0 - np.load(_file("debian-packages", "groundtruth_cosine.npy")).astype(np.float64)
    note = "float16 rows widened to float32; 1,000 queries timed five times over"
    return _shortened(Dataset("debian-packages", "cosine", base, np.tile(queries, (5, 1)), truth, note), limit)


def debian_packages_metadata() -> Path:
    """What is known about each package: JSON lines in the order of the rows."""
    return _file("debian-packages", "base.jsonl")


def fields_of(metadata: Path, rows: int) -> list[dict[str, Any]]:
    """The first lines as the runner keeps them: the id is the field `name`."""
    with metadata.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in itertools.islice(file, rows)]
    return [{"name": line.pop("id"), **line} for line in lines]


def generated(rows: int, seed: int, dim: int = 128, metric: str = "l2") -> Dataset:
    """Clusters of low rank that overlap in a shared subspace, of uneven weight; 1,000 queries of the same kind."""
    clusters, queries, shared = 2_000, 1_000, 24
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    subspace = np.linalg.qr(normal(dim, shared))[0]
    centres = 0.4 * (normal(clusters, shared) / np.sqrt(1.0 + np.arange(shared) / 6.0, dtype=np.float32)) @ subspace.T
    weights = generator.gamma(1.0, 1.0, clusters) + 0.1
    members = np.sort(generator.choice(clusters, size=rows + queries, p=weights / weights.sum()))
    vectors = 0.03 * normal(rows + queries, dim)
    bounds = np.searchsorted(members, np.arange(clusters + 1))
    for cluster, (first, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        rank = int(generator.integers(16, 25))
        own = normal(rank, dim) * (0.1 / np.sqrt(dim))
        mixed = (normal(rank, shared) / np.sqrt(shared)) @ subspace.T
        spectrum = 0.7 / np.sqrt(1.0 + np.arange(rank) / 4.0, dtype=np.float32)
        vectors[first:end] += centres[cluster] + (normal(end - first, rank) * spectrum) @ (own + mixed)
    generator.shuffle(vectors)
    base, asked = np.ascontiguousarray(vectors[:rows]), np.ascontiguousarray(vectors[rows:])
    truth = exact_distances(base, asked, metric)
    return Dataset(f"generated-{dim}", metric, base, np.tile(asked, (3, 1)), truth, f"generated, seed {seed}")


def rotated(dataset: Dataset, seed: int) -> Dataset:
    """The same geometry in other numbers: base and queries under one random rotation, truth computed anew."""
    generator = np.random.default_rng(seed)
    dim = dataset.base.shape[1]
    factor, triangle = np.linalg.qr(generator.standard_normal((dim, dim)))
    rotation = (factor * np.sign(np.diag(triangle))).astype(np.float32)
    base, queries = dataset.base @ rotation, dataset.queries @ rotation
    truth = exact_distances(base, queries[: dataset.scored], dataset.metric)
    return Dataset(f"{dataset.name}-rotated", dataset.metric, base, queries, truth, f"random rotation, seed {seed}")


def exact_distances(base: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """The distances of the nearest rows to each query in float64, nearest first."""
    depth = min(TRUTH_DEPTH, len(base))
    queries = queries.astype(np.float64)
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    best = np.empty((len(queries), 0))
    for start in range(0, len(base), 10_000):
        rows = base[start : start + 10_000].astype(np.float64)
        if metric == "cosine":
            part = 1.0 - queries @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
        else:
            part = np.square(queries).sum(axis=1)[:, None] - 2.0 * (queries @ rows.T) + np.square(rows).sum(axis=1)
        best = np.hstack([best, part])
        if best.shape[1] > depth:
            best = np.partition(best, depth - 1, axis=1)[:, :depth]
    return np.sort(best, axis=1)


def _shortened(dataset: Dataset, limit: int | None) -> Dataset:
    if limit is None or limit >= len(dataset.base):
        return dataset
    base = np.ascontiguousarray(dataset.base[:limit])
    queries = np.ascontiguousarray(dataset.queries[: dataset.scored])
    truth = exact_distances(base, queries, dataset.metric)
    note = f"{dataset.note}; a trial on the first {limit} rows, {len(queries)} queries"
    return Dataset(dataset.name, dataset.metric, base, queries, truth, note)


def _idx_images(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        content = file.read()
    magic, count, height, width = np.frombuffer(content, ">u4", 4)
    if magic != 0x803:
        raise MissingData(f"{path} starts with {magic:#x}, not with the 0x803 of MNIST images")
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, height * width).astype(np.float32)


def _fvecs(path: Path) -> np.ndarray:
    raw = np.fromfile(path, "<f4")
    dim = int(raw[:1].view("<i4")[0])
    return raw.reshape(-1, dim + 1)[:, 1:]
