"""The server beside the same database embedded: search over gRPC and HTTP, bulk load, overload; and Python beside Rust."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, fresh, load_into
from datasets import Dataset
from peers import BULK_PEERS, BulkPeer, timed, versions
from processes import MemoryWatch, VecdbServer
from report import Bar, paired_ratio
from runner_client import RunnerClient
from scoring import recall

NAME = "bench"
K = 10
BATCH = 1_000
FACES = ["grpc", "http"]
LATENCY_LIMITS_MS = {"grpc": 0.20, "http": 0.30}
CPU_LIMITS_US = {"grpc": 40.0, "http": 60.0}
CONNECTIONS = 32
# Enough searches that a step of the kernel's processor clock (10 ms) is less than a microsecond of each.
CPU_SEARCHES = 20_000
# The same graph in the same files: found is the same, up to rows that are equally far.
RECALL_TOLERANCE = 0.001
# A machine that pauses for a moment should not end the run; overload is measured with the defaults.
NO_REFUSALS = {"limits.queue_wait_ms_max": 10_000}
MEMORY_BYTES_MAX = 512 << 20
MIX = {"searches": 90, "upserts": 8, "connections": CONNECTIONS, "k": K}
SUSTAINED_SHARE, SUSTAINED_SECONDS_MAX = 0.2, 30.0


def run(settings: Settings) -> dict[str, Result]:
    dataset = datasets.debian_packages(settings.limit)
    folder = settings.work / "embedded"
    with settings.start_runner() as client:
        result: dict[str, Any] = {"runner": client.call("about").answer, "dataset": dataset.name, "rows": len(dataset.base)}
        load_into(client, dataset)
        client.call("metadata", path=datasets.debian_packages_metadata(), limit=len(dataset.base))
        result["ingest"] = ingest(client, dataset, settings)
        prepare(client, folder, len(dataset.base))
        result.update(searches(client, folder, dataset, settings))
        result["python"] = python(client, folder, dataset, settings)
        result["mixed"] = mixed(client, folder, settings)
    shutil.rmtree(folder, ignore_errors=True)
    return {"server": (result, bars(result))}


def prepare(client: RunnerClient, folder: Path, rows: int) -> None:
    """A database with everything in it and nothing left to do; closed."""
    client.call("db_open", path=folder)
    client.call("db_load", batch=BATCH)
    points = client.call("db_wait_idle").answer["points"]
    assert points == rows, points
    client.call("db_close")


def copy_of(folder: Path, name: str) -> Path:
    """The same files in a folder of their own: one process at a time can have a folder open."""
    copy = folder.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def start_server(client: RunnerClient, settings: Settings, folder: Path, **limits: object) -> VecdbServer:
    server = VecdbServer(settings.server, folder, settings.work, **limits)
    client.call("remote_open", grpc=f"http://{server.grpc}", http=server.http)
    return server


# Bulk load


def ingest(client: RunnerClient, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """The same points in the same batches, every batch synced before it is answered: embedded, over one gRPC stream, and
    into the servers of the peers. A fresh folder each time."""
    folder = settings.work / "ingest"
    fields = datasets.fields_of(datasets.debian_packages_metadata(), len(dataset.base))
    rounds = []
    for _ in range(settings.rounds):
        client.call("db_open", path=fresh(folder))
        embedded = client.call("db_load", batch=BATCH, durability="every_write")
        client.call("db_close")
        with start_server(client, settings, fresh(folder)) as server:
            cpu = server.cpu_seconds()
            streamed = client.call("remote_load", batch=BATCH, durability="every_write")
            cpu = server.cpu_seconds() - cpu
        assert embedded.answer["points"] == streamed.answer["points"] == len(dataset.base), (embedded, streamed)
        one = {"embedded": embedded.seconds, "grpc": streamed.seconds}
        for kind in BULK_PEERS:
            one[kind.name] = load_peer(kind, fresh(folder), dataset, fields, settings.work)
        rounds.append({"seconds": one, "grpc_server_cpu_seconds": cpu, "grpc_client_cpu_seconds": streamed.cpu_seconds})
    shutil.rmtree(folder, ignore_errors=True)
    seconds = {name: [r["seconds"][name] for r in rounds] for name in rounds[0]["seconds"]}
    return {
        "batch": BATCH,
        "durability": "every_write",
        "versions": versions("chromadb", "milvus-lite", "pymilvus"),
        "rounds": rounds,
        "points_per_second": {name: len(dataset.base) / median(times) for name, times in seconds.items()},
        "over": {name: paired_ratio(times, seconds["grpc"]) for name, times in seconds.items() if name != "grpc"},
    }


def load_peer(
    kind: type[BulkPeer], folder: Path, dataset: Dataset, fields: list[dict[str, Any]], work: Path
) -> float:
    """Seconds of the load into a server of its own."""
    with kind(folder, work, dataset.metric, dataset.base.shape[1]) as peer:
        batches = peer.batches(dataset.base, fields, BATCH)
        _, cost = timed(lambda: peer.load(batches))
        assert peer.count() == len(dataset.base), peer.count()
    return cost.seconds


# Search


def searches(client: RunnerClient, folder: Path, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """Latency of one client and cost of many, on copies of the same files."""
    client.call("db_open", path=folder)
    with start_server(client, settings, copy_of(folder, "served"), **NO_REFUSALS) as server:
        result = {
            "latency": {
                "without metadata": latency(client, dataset, settings.rounds, with_metadata=False),
                "with metadata": latency(client, dataset, settings.rounds, with_metadata=True),
            },
            "cost": cost(client, server, dataset, settings),
        }
    client.call("db_close")
    shutil.rmtree(folder.with_name("served"))
    return result


def latency(client: RunnerClient, dataset: Dataset, rounds: int, *, with_metadata: bool) -> dict[str, Any]:
    """One client, one search after the other. Single searches are measured inside the runner, in the same way on every
    side: from the vector to the answer as a caller uses it."""
    searching = {"clients": 1, "k": K, "ef": None, "with_metadata": with_metadata, "repeat": 1}
    measured, recalls = [], {}
    for number in range(rounds + 1):
        sides = {"embedded": client.search("db_search_as", searching=searching)}
        for face in FACES:
            sides[face] = client.search("remote_search", face=face, searching=searching)
        recalls = check_recalls(dataset, {side: ids for side, (_, ids) in sides.items()})
        if number > 0:  # the first is the warm-up
            measured.append({side: done.answer["latency"] for side, (done, _) in sides.items()})
    over = {face: median(r[face]["p50_us"] - r["embedded"]["p50_us"] for r in measured) / 1e3 for face in FACES}
    return {
        "rounds": measured,
        "recall": recalls,
        "p50_us": {side: median(r[side]["p50_us"] for r in measured) for side in ["embedded", *FACES]},
        "p50_over_embedded_ms": over,
    }


def check_recalls(dataset: Dataset, ids: dict[str, np.ndarray]) -> dict[str, float]:
    recalls = {side: recall(dataset.distances(found), dataset.truth, K) for side, found in ids.items()}
    assert max(recalls.values()) - min(recalls.values()) <= RECALL_TOLERANCE, recalls
    return recalls


def cost(client: RunnerClient, server: VecdbServer, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """Processor time of the server for a search over many connections, against that of the same searches embedded, on as
    many threads as the server searches with."""
    repeat = 1 if settings.limit else -(-CPU_SEARCHES // len(dataset.queries))
    count = repeat * len(dataset.queries)
    searching = {"k": K, "ef": None, "with_metadata": False, "repeat": repeat}
    threads = len(os.sched_getaffinity(0))
    measured, recalls = [], {}
    for number in range(settings.rounds + 1):
        done, found = client.search("db_search_as", searching={**searching, "clients": threads})
        ids = {"embedded": found}
        one = {"embedded": {"cpu_us": done.cpu_seconds / count * 1e6, "per_second": count / done.seconds}}
        for face in FACES:
            cpu = server.cpu_seconds()
            done, ids[face] = client.search("remote_search", face=face, searching={**searching, "clients": CONNECTIONS})
            one[face] = {
                "cpu_us": (server.cpu_seconds() - cpu) / count * 1e6,
                "client_cpu_us": done.cpu_seconds / count * 1e6,
                "per_second": count / done.seconds,
                "latency": done.answer["latency"],
            }
        recalls = check_recalls(dataset, ids)
        if number > 0:
            measured.append(one)
    return {
        "connections": CONNECTIONS,
        "embedded_threads": threads,
        "searches": count,
        "rounds": measured,
        "recall": recalls,
        "cpu_us": {side: median(r[side]["cpu_us"] for r in measured) for side in ["embedded", *FACES]},
        "per_second": {side: median(r[side]["per_second"] for r in measured) for side in ["embedded", *FACES]},
        "cpu_over_embedded_us": {
            face: median(r[face]["cpu_us"] - r["embedded"]["cpu_us"] for r in measured) for face in FACES
        },
    }


# Python


def python(client: RunnerClient, folder: Path, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """The Python package against Rust, both embedded, on copies of the same files: numpy rows in, ids and scores out."""
    from vecdb import VecDBClient

    searching = {"clients": 1, "k": K, "ef": None, "with_metadata": False, "repeat": 1}
    client.call("db_open", path=folder)
    copy = copy_of(folder, "python")
    measured, recalls = [], {}
    with VecDBClient(path=copy) as database:
        for number in range(settings.rounds + 1):
            rust, rust_ids = client.search("db_search_as", searching=searching)
            rust_pair, _ = client.search("db_search_as", searching={**searching, "clients": 2})
            times, ids = python_search(database, dataset.queries)
            alone = python_threads(database, dataset.queries, 1)
            pair = python_threads(database, dataset.queries, 2)
            recalls = check_recalls(dataset, {"rust": rust_ids, "python": ids})
            if number > 0:
                cuts = quantiles(times, n=100)
                measured.append({
                    "rust_p50_us": rust.answer["latency"]["p50_us"],
                    "python_p50_us": cuts[49],
                    "python_p99_us": cuts[98],
                    "rust_two_threads": rust.seconds / rust_pair.seconds,
                    "python_two_threads": alone / pair,
                })
    client.call("db_close")
    shutil.rmtree(copy)
    return {
        "rounds": measured,
        "recall": recalls,
        "p50_over_rust_us": median(r["python_p50_us"] - r["rust_p50_us"] for r in measured),
        "two_threads": median(r["python_two_threads"] for r in measured),
        "rust_two_threads": median(r["rust_two_threads"] for r in measured),
    }


def python_search(database: Any, queries: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Microseconds of each search, and the ids."""
    times, answers = [], []
    for query in queries:
        start = time.perf_counter_ns()
        answer = database.search(NAME, query, limit=K, with_metadata=False)
        times.append((time.perf_counter_ns() - start) / 1e3)
        answers.append([hit["id"] for hit in answer])
    return times, np.array([(ids + [-1] * K)[:K] for ids in answers])


def python_threads(database: Any, queries: np.ndarray, threads: int) -> float:
    """Seconds for all queries spread over threads."""

    def search(part: np.ndarray) -> None:
        for query in part:
            database.search(NAME, query, limit=K, with_metadata=False)

    workers = [threading.Thread(target=search, args=(part,)) for part in np.array_split(queries, threads)]
    _, cost = timed(lambda: [step(worker) for step in (threading.Thread.start, threading.Thread.join) for worker in workers])
    return cost.seconds


# Overload


def mixed(client: RunnerClient, folder: Path, settings: Settings) -> dict[str, Any]:
    """Searches, upserts and deletes at twice the rate that the server can sustain, within a memory budget."""
    short = min(settings.mixed_seconds * SUSTAINED_SHARE, SUSTAINED_SECONDS_MAX)
    limits = {"limits.memory_bytes_max": MEMORY_BYTES_MAX}
    with start_server(client, settings, copy_of(folder, "mixed"), **limits) as server:
        mix = {**MIX, "seed": settings.seed, "rate": None, "seconds": short}
        sustained = client.call("remote_mixed", mix=mix).answer
        rate = 2.0 * per_second(sustained)
        with MemoryWatch(server.pid) as memory:
            cpu = server.cpu_seconds()
            load = client.call("remote_mixed", mix={**mix, "rate": rate, "seconds": settings.mixed_seconds})
            cpu = server.cpu_seconds() - cpu if server.is_running else None
        survived = server.is_running
    shutil.rmtree(folder.with_name("mixed"))
    ends = [load.answer[kind] for kind in ("search", "upsert", "delete")]
    return {
        "mix": MIX,
        "sustained": sustained,
        "sustained_per_second": per_second(sustained),
        "offered_per_second": rate,
        "accepted_per_second": per_second(load.answer),
        "load": load.answer,
        "server_cpu_seconds": cpu,
        "client_cpu_seconds": load.cpu_seconds,
        "survived": survived,
        "memory_bytes_max": MEMORY_BYTES_MAX,
        "memory_samples": len(memory.samples),
        "memory_peak_bytes": max(memory.samples, default=None),
        "refused": sum(end["refused"] for end in ends),
        "refused_without_retry_after": sum(end["refused_without_retry_after"] for end in ends),
        "failed": sum(count for end in ends for count, _ in end["failed"].values()),
    }


def per_second(answer: dict[str, Any]) -> float:
    """Requests that were done."""
    return sum(answer[kind]["accepted"] for kind in ("search", "upsert", "delete")) / answer["seconds"]


def bars(result: dict[str, Any]) -> list[Bar]:
    lines = []
    for mode, found in result["latency"].items():
        for face in FACES:
            over = found["p50_over_embedded_ms"][face]
            lines.append(Bar(f"{face} search p50 over embedded, {mode}, ms", over, "at most", LATENCY_LIMITS_MS[face]))
    cost = result["cost"]
    for face in FACES:
        over = cost["cpu_over_embedded_us"][face]
        lines.append(Bar(f"{face} server CPU per search over embedded, us", over, "at most", CPU_LIMITS_US[face]))
    for face in FACES:
        speed = cost["per_second"][face]
        lines.append(Bar(f"{face} searches per second, {CONNECTIONS} connections", speed, "at least", None))
    ingest = result["ingest"]
    lines += [
        Bar("bulk upsert over gRPC / embedded", ingest["over"]["embedded"], "at least", 0.6),
        *(Bar(f"bulk upsert over gRPC / {kind.name}", ingest["over"][kind.name], "at least", 1.0) for kind in BULK_PEERS),
        Bar("bulk upsert over gRPC, points per second", ingest["points_per_second"]["grpc"], "at least", None),
    ]
    mixed = result["mixed"]
    p99 = mixed["load"]["search"]["since_due"]["p99_us"]
    sent_p99 = mixed["load"]["search"]["since_sent"]["p99_us"]
    peak = mixed["memory_peak_bytes"]
    lines += [
        Bar("overload: server still running", float(mixed["survived"]), "at least", 1.0),
        Bar("overload: peak of memory / budget", peak and peak / mixed["memory_bytes_max"], "at most", 1.0),
        Bar("overload: p99 of accepted searches, ms", p99 and p99 / 1e3, "at most", 50.0),
        Bar("overload: p99 of accepted searches since sent, ms", sent_p99 and sent_p99 / 1e3, "at most", None),
        Bar("overload: refusals without a time to wait", mixed["refused_without_retry_after"], "at most", 0),
        Bar("overload: failures other than refusals", mixed["failed"], "at most", 0),
        Bar("overload: accepted / sustained", mixed["accepted_per_second"] / mixed["sustained_per_second"], "at least", None),
    ]
    python = result["python"]
    lines += [
        Bar("Python search p50 over Rust, us", python["p50_over_rust_us"], "at most", 15.0),
        Bar("Python searches of two threads / one", python["two_threads"], "at least", 1.8),
        Bar("Rust searches of two threads / one", python["rust_two_threads"], "at least", None),
    ]
    return lines
