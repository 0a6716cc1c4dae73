"""A collection whose vectors stay on the disk: searches within 0.4 times the memory of the vectors, beside the same
searches with memory for all."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, give_queries, load_into
from datasets import Dataset
from processes import MemoryLimit
from report import Bar
from runner_client import RunnerClient
from scoring import recall

BATCH = 1_000
K = 10
EFS = [10, 20, 40, 80, 160]
# Of the bytes of the vectors, for the whole process and the pages of files that it reads.
SHARE = 0.4
QUERIES = 1_000


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-768": lambda: datasets.generated(settings.limit or 200_000, settings.seed, 768, "cosine"),
    }
    return {f"small-memory-{name}": measure(settings, read()) for name, read in readers.items() if name in settings.datasets}


def measure(settings: Settings, dataset: Dataset) -> Result:
    # The queries take memory of the process that is limited.
    dataset = dataclasses.replace(dataset, queries=np.ascontiguousarray(dataset.queries[: min(QUERIES, dataset.scored)]))
    folder = settings.work / f"database-{dataset.name}"
    limit = int(dataset.base.nbytes * SHARE)
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        client.call("db_open", path=folder)
        client.call("db_load", batch=BATCH)
        info = client.call("db_wait_idle").answer
        client.call("db_close")
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    rounds: dict[str, list[dict[int, dict[str, float]]]] = {"limited": [], "free": []}
    peaks = []
    for _ in range(settings.rounds):
        forget_pages(folder)
        with settings.start_runner() as client, MemoryLimit(client.pid, limit) as memory:
            rounds["limited"].append(sweep(client, dataset, folder))
            peaks.append(memory.peak_bytes())
        with settings.start_runner() as client:
            rounds["free"].append(sweep(client, dataset, folder))
    shutil.rmtree(folder)
    sides = {
        side: {
            ef: {key: median(run[ef][key] for run in runs) for key in ("recall", "queries_per_second", "p99_us")}
            for ef in EFS
        }
        for side, runs in rounds.items()
    }
    result = {
        "runner": about,
        "dataset": dataset.name,
        "note": dataset.note,
        "rows": len(dataset.base),
        "dim": dataset.base.shape[1],
        "vector_bytes": dataset.base.nbytes,
        "limit_bytes": limit,
        "peak_bytes": max(peaks),
        "file_bytes": files,
        "segments": info["segment_count"],
        "by_ef": sides,
    }
    name, best = dataset.name, sides["limited"][EFS[-1]]
    speed = [sides[side][40]["queries_per_second"] for side in ("limited", "free")]
    return result, [
        Bar(f"{name}: memory in all over that of the vectors", max(peaks) / dataset.base.nbytes, "at most", SHARE),
        Bar(f"{name}: recall at ef {EFS[-1]}", best["recall"], "at least", 0.99),
        Bar(f"{name}: queries/s at ef 40 over those with memory for all", speed[0] / speed[1], "at least", None),
    ]


def sweep(client: RunnerClient, dataset: Dataset, folder: Path) -> dict[int, dict[str, float]]:
    """Opens the database and searches at each `ef`, after one pass that is not counted."""
    give_queries(client, dataset.queries)
    client.call("db_reopen", path=folder)
    client.search("db_search", k=K, ef=EFS[0])
    found = {}
    for ef in EFS:
        timed, ids = client.search("db_search", k=K, ef=ef)
        found[ef] = {
            "recall": recall(dataset.distances(ids), dataset.truth[: len(ids)], K),
            "queries_per_second": len(ids) / timed.seconds,
            "p99_us": timed.answer["latency"]["p99_us"],
        }
    client.call("db_close")
    return found


def forget_pages(folder: Path) -> None:
    """Pages in the cache belong to whoever read them first: the limited process is to read them itself."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
