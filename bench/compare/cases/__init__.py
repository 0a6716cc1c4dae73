"""The cases: each compares one thing and says which bars it meets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets import Dataset
from report import Bar
from runner_client import RunnerClient

Result = tuple[dict[str, Any], list[Bar]]

DATASETS = ["fashion-mnist", "fashion-mnist-rotated", "debian-packages", "generated-128", "generated-768"]


@dataclass(frozen=True)
class Settings:
    """How to run the cases."""

    runner: Path
    server: Path
    work: Path
    rounds: int
    builds: int
    seed: int
    limit: int | None = None
    gib: float = 2.0
    mixed_seconds: float = 600.0
    rotated: bool = False
    peers: list[str] = field(default_factory=lambda: ["hnswlib", "faiss-hnsw"])
    datasets: list[str] = field(default_factory=lambda: list(DATASETS))

    def start_runner(self) -> RunnerClient:
        return RunnerClient(self.runner, self.work)


def load_into(client: RunnerClient, dataset: Dataset, queries: int | None = None) -> None:
    """Gives the runner the very float32 numbers that the peers get, and asserts that all have arrived."""
    path = client.work / "base.npy"
    np.save(path, dataset.base)
    loaded = client.call("load", path=path, metric=dataset.metric).answer
    path.unlink()
    assert loaded["rows"] == len(dataset.base), loaded
    give_queries(client, dataset.queries[:queries])


def give_queries(client: RunnerClient, queries: np.ndarray) -> None:
    """In place of those that the runner has."""
    path = client.work / "queries.npy"
    np.save(path, queries)
    asked = client.call("queries", path=path).answer
    path.unlink()
    assert asked["queries"] == len(queries), asked


def fresh(folder: Path) -> Path:
    """An empty folder, with nothing of before still on its way to the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    return folder


def all_cases() -> dict[str, Callable[[Settings], dict[str, Result]]]:
    """Case by name; a case gives one result per file it writes."""
    from cases import (
        diskann,
        engine,
        filters,
        flat_batch,
        flat_scan,
        graph,
        hnsw,
        ivf,
        lsh,
        quantizers,
        server,
        small_memory,
        storage,
        target_recall,
    )

    return {
        "flat_scan": flat_scan.run,
        "flat_batch": flat_batch.run,
        "hnsw": hnsw.run,
        "graph": graph.run,
        "ivf": ivf.run,
        "quantizers": quantizers.run,
        "lsh": lsh.run,
        "target_recall": target_recall.run,
        "diskann": diskann.run,
        "engine": engine.run,
        "storage": storage.run,
        "small_memory": small_memory.run,
        "filters": filters.run,
        "server": server.run,
    }
