"""The embedded database: durable bulk load, search beside a bare index over all rows, reopening."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import datasets
from cases import Result, Settings, load_into
from datasets import Dataset
from report import Bar, paired_ratio
from runner_client import RunnerClient
from scoring import recall

BATCH = 1_000
K = 10
EFS = [20, 40, 80, 160]
BAR_EF = 40
REOPENS = 5
PROBE = {"k": K, "ef": BAR_EF, "pause_ms": 2}
QUANTILES = {"p50_us": "median", "p90_us": "90 %", "p99_us": "99 %", "max_us": "longest"}


def run(settings: Settings) -> dict[str, Result]:
    dataset = datasets.fashion_mnist(settings.limit)
    folder = settings.work / "database"
    with settings.start_runner() as client:
        result: dict[str, Any] = {"runner": client.call("about").answer, "dataset": dataset.name, "rows": len(dataset.base)}
        load_into(client, dataset)
        result["disk"] = disk_speed(settings.work, dataset)
        result["ingest"] = ingest(client, folder, dataset, settings.rounds)
        result["latency"] = latency_under_load(client, settings.work / "probed", dataset, settings.rounds)
        result["search"] = search(client, dataset, settings)
        result["reopen"] = reopen(client, folder, len(dataset.base))
        client.call("db_close")
    shutil.rmtree(folder, ignore_errors=True)
    return {"engine": (result, bars(result))}


def disk_speed(work: Path, dataset: Dataset) -> dict[str, Any]:
    """What the disk allows: the same bytes in the same batches, written and synced, and nothing else."""
    path = work / "disk.bin"
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for first in range(0, len(dataset.base), BATCH):
            file.write(dataset.base[first : first + BATCH].tobytes())
            os.fdatasync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return {"mb_per_second": dataset.base.nbytes / seconds / 1e6, "syncs": -(-len(dataset.base) // BATCH)}


def ingest(client: RunnerClient, folder: Path, dataset: Dataset, rounds: int) -> dict[str, Any]:
    """Loads a fresh database per round; the last one stays open."""
    runs = []
    for number in range(rounds):
        shutil.rmtree(folder, ignore_errors=True)
        client.call("db_open", path=folder)
        load = client.call("db_load", batch=BATCH, durability="every_write")
        idle = client.call("db_wait_idle")
        assert load.answer["points"] == idle.answer["points"] == len(dataset.base), (load.answer, idle.answer)
        runs.append({
            "mb_per_second": load.answer["vector_bytes"] / load.seconds / 1e6,
            "load_seconds": load.seconds,
            "wait_idle_seconds": idle.seconds,
            "segment_count": idle.answer["segment_count"],
        })
        if number + 1 < rounds:
            client.call("db_close")
    return {
        "batch": BATCH,
        "durability": "every_write",
        "rounds": runs,
        "mb_per_second": median(run["mb_per_second"] for run in runs),
        "info": client.call("db_info").answer,
    }


def latency_under_load(client: RunnerClient, folder: Path, dataset: Dataset, rounds: int) -> dict[str, Any]:
    """Searches every few milliseconds during a load, against as many of the same searches, with the same rests between
    them, once all is quiet: a machine that pauses does so in both. Measured inside the runner: a search on another thread
    has no other clock."""
    client.call("db_close")
    measured = []
    for _ in range(rounds):
        shutil.rmtree(folder, ignore_errors=True)
        client.call("db_open", path=folder)
        load = client.call("db_load", batch=BATCH, durability="every_write", probe=PROBE)
        client.call("db_wait_idle")
        client.search("db_search", k=K, ef=BAR_EF)  # the warm-up
        during = load.answer["probe"]
        quiet = client.call("db_probe", probe=PROBE, count=during["count"]).answer
        client.call("db_close")
        measured.append({"load_seconds": load.seconds, "during_load": during, "quiet": quiet})
    shutil.rmtree(folder)
    client.call("db_reopen", path=folder.with_name("database"))
    sides = {
        quantile: [[r[side][quantile] for r in measured] for side in ("during_load", "quiet")] for quantile in QUANTILES
    }
    return {
        "probe": PROBE,
        "rounds": measured,
        "over_quiet": {quantile: paired_ratio(*both) for quantile, both in sides.items()},
        "longest_over_quiet_median": paired_ratio(sides["max_us"][0], sides["p50_us"][1]),
    }


def search(client: RunnerClient, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """The collection as loaded against one graph over all rows, built with the same parameters."""
    client.call("index_build", spec={"type": "hnsw", "seed": settings.seed}, threads=2)
    by_ef = {}
    for ef in EFS:
        rounds = []
        for number in range(settings.rounds + 1):
            through, our_ids = client.search("db_search", k=K, ef=ef)
            bare, bare_ids = client.search("index_search", k=K, params={"ef": ef}, threads=1)
            if number > 0:  # the first is the warm-up
                count = len(dataset.queries)
                rounds.append({"collection": count / through.seconds, "bare": count / bare.seconds})
        by_ef[ef] = {
            "rounds_queries_per_second": rounds,
            "collection_recall": recall(dataset.distances(our_ids), dataset.truth, K),
            "bare_recall": recall(dataset.distances(bare_ids), dataset.truth, K),
            "segments_searched": through.answer["segments"],
            "speed_ratio": paired_ratio([r["collection"] for r in rounds], [r["bare"] for r in rounds]),
            "cost_ratio": paired_ratio([r["bare"] for r in rounds], [r["collection"] for r in rounds]),
        }
    return by_ef


def reopen(client: RunnerClient, folder: Path, points: int) -> dict[str, Any]:
    """Closes cleanly and opens again; leaves it open."""
    rounds = []
    for _ in range(REOPENS):
        client.call("db_close")
        timed = client.call("db_reopen", path=folder)
        assert timed.answer["points"] == points, timed.answer
        rounds.append({"ms": timed.seconds * 1e3, "recovery": timed.answer["recovery"]})
    return {"rounds": rounds, "ms": median(r["ms"] for r in rounds)}


def bars(result: dict[str, Any]) -> list[Bar]:
    ingest_speed, disk = result["ingest"]["mb_per_second"], result["disk"]["mb_per_second"]
    # "Where the disk allows": a disk that cannot sync 100 MB/s of bare writes sets no bar.
    ingest_bar = 100.0 if disk >= 150.0 else None
    lines = [
        Bar(f"durable ingest, {BATCH}-point batches, MB/s", ingest_speed, "at least", ingest_bar),
        Bar("durable ingest / bare write and sync", ingest_speed / disk, "at least", None),
        Bar("segments after the load", result["ingest"]["info"]["segment_count"], "at most", None),
    ]
    for ef, found in result["search"].items():
        limit = 1.15 if ef == BAR_EF else None
        lines.append(Bar(f"cost through the collection / bare index, ef {ef}", found["cost_ratio"], "at most", limit))
        lines.append(Bar(f"recall through the collection, ef {ef}", found["collection_recall"], "at least", None))
    latency = result["latency"]
    lines += [
        Bar(f"searches during the load / quiet ones, {name}", latency["over_quiet"][quantile], "at most", 5.0)
        for quantile, name in QUANTILES.items()
    ]
    lines += [
        Bar("longest search during the load / quiet median", latency["longest_over_quiet_median"], "at most", None),
        Bar("reopen, ms", result["reopen"]["ms"], "at most", 50.0),
    ]
    return lines
