"""The storage engine: durable loads beside embedded peers, reopening, bytes on the disk, what a kill leaves, and searches
beside a merge."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, fresh, give_queries, load_into
from cases.engine import PROBE, QUANTILES
from cases.filters import world
from datasets import Dataset, exact_distances
from peers import parts, timed, versions
from report import Bar, paired_ratio
from runner_client import RunnerClient, RunnerError
from scoring import recall
from storage_peers import STORAGE_PEERS, Points, StoragePeer

OURS = "vecdb"
BATCH = 1_000
K = 10
# A peer that is slow is given no further batch once its own calls have taken so long; rates are per row.
PEER_SECONDS_MAX = 60.0
# Until what was acknowledged is found, if a peer does not find it at once.
FOUND_SECONDS_MAX = 60.0
WARM_UP_ROWS = 2 * BATCH
INGEST_LIMITS = {"qdrant": 2.0, "lancedb": 0.7}
# Those that leave it to the operating system when a batch reaches the disk.
UNSYNCED = ["lancedb", "milvus-lite"]
GUARANTEE = "one entry of the log for every batch, written and synced"

REOPENS, PEER_REOPENS = 7, 3
# The background looks once a second whether the log can be shortened.
IDLE_SECONDS = 3.0

# Merges: of ten shares of the rows so many are deleted and written anew, each into a segment of its own.
SHARES, REPLACES = 10, 2
QUIET_SEARCHES = 2_000
BACKGROUND, ASKED = "background merge", "compaction"
MERGES = {BACKGROUND: "db_resume_merges", ASKED: "db_compact"}

# After a kill: larger than any load of this case, so that nothing is flushed. The log stays below its own limit, 512 MiB.
MEMTABLE_BYTES_MAX = 4 << 30
UNFLUSHED_NOISE = 8
VERIFIED = 100


@dataclass(frozen=True)
class Rows:
    """Vectors with their metadata: `label`, the class of the image; `rank` and `place`, numbers from 0 to 1 as in the case
    filters."""

    dataset: Dataset
    fields: list[dict[str, Any]]

    @property
    def metadata_bytes(self) -> int:
        """As JSON without spaces."""
        return sum(len(json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()) for one in self.fields)

    def raw_bytes(self, rows: int) -> float:
        """Of the vectors and, on average, the metadata of so many rows."""
        return rows * (self.dataset.base.shape[1] * 4 + self.metadata_bytes / len(self.fields))

    def hold(self, ids: list[int] | np.ndarray, vector: np.ndarray) -> bool:
        """Whether one of these rows is that vector."""
        return any(row >= 0 and np.array_equal(self.dataset.base[row], vector) for row in ids)


def run(settings: Settings) -> dict[str, Result]:
    rows = fashion_mnist(settings)
    dataset = rows.dataset
    guarantees = {OURS: GUARANTEE, **{kind.name: kind.guarantee for kind in STORAGE_PEERS}}
    told = "; ".join(f"{name}: {guarantee}" for name, guarantee in guarantees.items())
    result: dict[str, Any] = {
        "dataset": dataset.name,
        "note": f"{dataset.note}. Safe once a write has returned: {told}",
        "rows": len(dataset.base),
        "dimension": dataset.base.shape[1],
        "metadata_bytes": rows.metadata_bytes,
        "versions": versions(*(kind.package for kind in STORAGE_PEERS), "pymilvus"),
    }
    folder = settings.work / OURS
    with settings.start_runner() as client:
        result["runner"] = client.call("about").answer
        give(client, rows)
        result["ingest"] = ingest(client, rows, settings)
        result["peers"] = {kind.name: look_at(kind, rows, result["ingest"], settings) for kind in STORAGE_PEERS}
        client.call("db_open", path=fresh(folder))
        client.call("db_load", batch=BATCH, durability="every_write")
        result["disk"] = disk(client, folder, rows)
        result["reopen"] = reopen(client, folder, rows)
        result["merge"] = merges(client, dataset, settings.rounds)
        client.call("db_close")
    result["unflushed"] = unflushed(settings, folder, grown(rows, settings.seed))
    shutil.rmtree(folder)
    return {"storage-beside-peers": (result, bars(result))}


def fashion_mnist(settings: Settings) -> Rows:
    dataset = datasets.fashion_mnist(settings.limit)
    about = world(dataset, settings.seed)
    columns = zip(datasets.fashion_mnist_labels(len(dataset.base)), about.rank, about.place, strict=True)
    return Rows(dataset, [{"label": label, "rank": float(rank), "place": float(place)} for label, rank, place in columns])


def give(client: RunnerClient, rows: Rows) -> None:
    """Vectors, queries and metadata."""
    load_into(client, rows.dataset)
    path = client.work / "metadata.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in rows.fields)
    client.call("metadata", path=path)
    path.unlink()


# Load


def ingest(client: RunnerClient, rows: Rows, settings: Settings) -> dict[str, Any]:
    """The same points in the same batches into fresh folders, until all are acknowledged and the last one is found."""
    give_queries(client, rows.dataset.base[-1:])
    load_ours(client, fresh(settings.work / OURS), rows)  # the warm-up
    for kind in STORAGE_PEERS:
        load_peer(kind, fresh(settings.work / kind.name), rows, WARM_UP_ROWS)
    rounds = []
    for number in range(settings.rounds):
        one = {OURS: load_ours(client, fresh(settings.work / OURS), rows)}
        for kind in STORAGE_PEERS:
            one[kind.name] = load_peer(kind, fresh(settings.work / kind.name), rows, len(rows.dataset.base))
        rounds.append(one)
        told = ", ".join(f"{name} {load['rows'] / load['seconds']:,.0f}" for name, load in one.items())
        print(f"  load {number + 1}, points/s: {told}", flush=True)
    speeds = {name: [one[name]["rows"] / one[name]["seconds"] for one in rounds] for name in rounds[0]}
    synced = {
        name: [one[name]["rows"] / (one[name]["seconds"] + one[name].get("sync_seconds", 0.0)) for one in rounds]
        for name in rounds[0]
    }
    return {
        "batch": BATCH,
        "durability": "every_write",
        "peer_seconds_max": PEER_SECONDS_MAX,
        "rounds": rounds,
        "points_per_second": {name: median(values) for name, values in speeds.items()},
        "over": {name: paired_ratio(speeds[OURS], values) for name, values in speeds.items() if name != OURS},
        "over_synced": {name: paired_ratio(speeds[OURS], values) for name, values in synced.items() if name != OURS},
    }


def load_ours(client: RunnerClient, folder: Path, rows: Rows) -> dict[str, Any]:
    """Making the collection and the points is within our time."""
    client.call("db_open", path=folder)
    load = client.call("db_load", batch=BATCH, durability="every_write")
    first, ids = client.search("db_search", k=K)
    if not rows.hold(ids[0], rows.dataset.base[-1]):
        raise RunnerError(f"the last point is not found right after the load: {ids[0]}")
    assert load.answer["points"] == len(rows.dataset.base), load.answer
    client.call("db_close")
    return {
        "rows": load.answer["points"],
        "seconds": load.seconds + first.seconds,
        "first_search_ms": first.seconds * 1e3,
        "cpu_seconds": load.cpu_seconds,
    }


def load_peer(kind: type[StoragePeer], folder: Path, rows: Rows, most: int) -> dict[str, Any]:
    """So many rows at most. `sync_seconds`, which are not within its time, are until the disk has all that it wrote."""
    base = rows.dataset.base[:most]
    peer = kind(folder, base.shape[1])
    loaded, seconds = 0, 0.0
    for part in parts(base, BATCH):
        batch = peer.prepared(Points(range(part.start, part.stop), base[part], rows.fields[part]))
        _, cost = timed(lambda batch=batch: peer.write(batch))
        loaded, seconds = part.stop, seconds + cost.seconds
        if seconds > PEER_SECONDS_MAX:
            break
    _, cost = timed(lambda: search_until_found(peer, rows, loaded - 1))
    _, sync = timed(os.sync)
    peer.close()
    return {
        "rows": loaded,
        "seconds": seconds + cost.seconds,
        "first_search_ms": cost.seconds * 1e3,
        "sync_seconds": sync.seconds,
    }


def search_until_found(peer: StoragePeer, rows: Rows, row: int) -> None:
    vector, end = rows.dataset.base[row], time.monotonic() + FOUND_SECONDS_MAX
    while not rows.hold(peer.search(vector, K), vector):
        if time.monotonic() > end:
            raise RuntimeError(f"{peer.name} does not find row {row} within {FOUND_SECONDS_MAX:g} s of its acknowledgement")


# Reopening, and bytes on the disk


def look_at(kind: type[StoragePeer], rows: Rows, loads: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What a peer has left on the disk in the last round, and how soon it answers from there. Removes it."""
    folder, loaded = settings.work / kind.name, loads["rounds"][-1][kind.name]["rows"]
    size = bytes_on_disk(folder)
    times = []
    for _ in range(PEER_REOPENS):
        start = time.perf_counter()
        peer = kind(folder, rows.dataset.base.shape[1])
        search_until_found(peer, rows, loaded - 1)
        times.append((time.perf_counter() - start) * 1e3)
        peer.close()
    shutil.rmtree(folder)
    return {
        "rows": loaded,
        "disk_bytes": size,
        "disk_bytes_over_raw": size / rows.raw_bytes(loaded),
        "reopen_and_search_ms": median(times),
        "reopens_ms": times,
    }


def bytes_on_disk(folder: Path) -> int:
    """What the files take, room that was taken ahead of their ends included."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def disk(client: RunnerClient, folder: Path, rows: Rows) -> dict[str, Any]:
    """After compaction, idle and open, and closed: over what has to be there, which is rows x dimension x 4 bytes of vectors,
    the metadata as JSON, and the index files of all segments by the engine's own statistics."""
    info = client.call("db_compact").answer
    time.sleep(IDLE_SECONDS)
    idle = bytes_on_disk(folder)
    log = bytes_on_disk(folder / "wal")
    client.call("db_close")
    closed = bytes_on_disk(folder)
    client.call("db_reopen", path=folder)
    index = sum(segment["index_bytes"] for segment in info["segments"])
    needed = rows.dataset.base.nbytes + rows.metadata_bytes + index
    return {
        "info": info,
        "vector_bytes": rows.dataset.base.nbytes,
        "metadata_bytes": rows.metadata_bytes,
        "index_bytes": index,
        "idle_bytes": idle,
        "idle_log_bytes": log,
        "closed_bytes": closed,
        "idle_over_needed": idle / needed,
        "closed_over_needed": closed / needed,
    }


def reopen(client: RunnerClient, folder: Path, rows: Rows) -> dict[str, Any]:
    """Closes cleanly, opens again and searches, with all pages in the cache; leaves it open."""
    give_queries(client, rows.dataset.base[-1:])
    rounds = []
    for _ in range(REOPENS):
        client.call("db_close")
        opened = client.call("db_reopen", path=folder)
        first, ids = client.search("db_search", k=K)
        assert opened.answer["points"] == len(rows.dataset.base), opened.answer
        assert rows.hold(ids[0], rows.dataset.base[-1]), ids
        both = opened.seconds + first.seconds
        rounds.append({"reopen_ms": opened.seconds * 1e3, "reopen_and_search_ms": both * 1e3})
    return {"rounds": rounds, **{name: median(one[name] for one in rounds) for name in rounds[0]}}


# Searches beside a merge


def merges(client: RunnerClient, dataset: Dataset, rounds: int) -> dict[str, Any]:
    """Searches every few milliseconds while three segments become one: two that were flushed without a graph, and one with a
    graph and a fifth of its rows dead. Against as many once it is done, and against some before, with all three segments and
    merges paused, which leaves out what the segments themselves cost. A merge of the background yields to searches; a
    compaction works for the call that waits for it. Measured inside the runner: a search beside it has no other clock."""
    give_queries(client, dataset.queries[: dataset.scored])
    share = len(dataset.base) // SHARES
    numbers = itertools.count()
    measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in MERGES}
    for _ in range(rounds):
        for kind, command in MERGES.items():
            client.call("db_pause_merges")
            for _ in range(REPLACES):
                first = next(numbers) % SHARES * share
                info = client.call("db_replace", first=first, count=share, batch=BATCH).answer
            assert info["segment_count"] == 1 + REPLACES and info["points"] == len(dataset.base), info
            client.search("db_search", k=K, ef=PROBE["ef"])  # the warm-up
            before = client.call("db_probe", probe=PROBE, count=QUIET_SEARCHES).answer
            merge = client.call(command, probe=PROBE)
            during = merge.answer["probe"]
            client.call("db_resume_merges")
            client.call("db_wait_idle")
            _, ids = client.search("db_search", k=K, ef=PROBE["ef"])
            after = client.call("db_probe", probe=PROBE, count=during["count"]).answer
            measured[kind].append({
                "seconds": merge.seconds,
                "before": before,
                "during": during,
                "after": after,
                "recall_after": recall(dataset.distances(ids), dataset.truth, K),
            })
    return {
        "probe": PROBE,
        **{
            kind: {
                "rounds": runs,
                "recall_after": min(run["recall_after"] for run in runs),
                "over_after": over(runs, "after"),
                "over_before": over(runs, "before"),
            }
            for kind, runs in measured.items()
        },
    }


def over(runs: list[dict[str, Any]], quiet: str) -> dict[str, float | None]:
    """Quantiles during the merge over the same of quiet searches."""
    return {
        quantile: paired_ratio([run["during"][quantile] for run in runs], [run[quiet][quantile] for run in runs])
        for quantile in QUANTILES
    }


# After a kill


def grown(rows: Rows, seed: int) -> Rows:
    """Five thirds of the rows: all, and copies of the first with some noise on every pixel. 100,000 of Fashion-MNIST."""
    dataset = rows.dataset
    more = len(dataset.base) * 2 // 3
    noise = np.random.default_rng(seed).integers(
        -UNFLUSHED_NOISE, UNFLUSHED_NOISE, (more, dataset.base.shape[1]), np.int8, endpoint=True
    )
    base = np.vstack([dataset.base, np.clip(dataset.base[:more] + noise.astype(np.float32), 0, 255)])
    queries = dataset.queries[:VERIFIED]
    note = f"{dataset.note}; {more} copies with noise of up to {UNFLUSHED_NOISE} on every pixel"
    truth = exact_distances(base, queries, dataset.metric)
    return Rows(Dataset(dataset.name, dataset.metric, base, queries, truth, note), rows.fields + rows.fields[:more])


def unflushed(settings: Settings, folder: Path, rows: Rows) -> dict[str, Any]:
    """Loads with every batch synced and nothing flushed, kills the process and opens the folder in another, with the default
    options."""
    rounds = []
    for number in range(settings.rounds):
        with settings.start_runner() as client:
            give(client, rows)
            client.call("db_open", path=fresh(folder), memtable_bytes_max=MEMTABLE_BYTES_MAX)
            load = client.call("db_load", batch=BATCH, durability="every_write")
            info = client.call("db_info").answer
            assert info["memtable_points"] == len(rows.dataset.base) and not info["segments"], info
            client.kill()
        rounds.append({"load_seconds": load.seconds, **after_kill(settings, folder, rows.dataset, number)})
    times = [name for name in rounds[0] if name.startswith("until_")]
    return {
        "note": rows.dataset.note,
        "rows": len(rows.dataset.base),
        "rounds": rounds,
        "longest_seconds": {name: max(one[name] for one in rounds) for name in times},
    }


def after_kill(settings: Settings, folder: Path, dataset: Dataset, number: int) -> dict[str, Any]:
    """All times are from the start of the new process. Each round asks first for another query."""
    row = number % len(dataset.queries)
    one = dataclasses.replace(dataset, queries=dataset.queries[row : row + 1], truth=dataset.truth[row : row + 1])
    start = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - start

    until = {}
    with settings.start_runner() as client:
        give_queries(client, one.queries)
        opened = client.call("db_reopen", path=folder).answer
        until["until_opened"] = elapsed()
        _, exact = client.search("db_search", k=K, exact=True)
        until["until_exact_answer"] = elapsed()
        _, first = client.search("db_search", k=K)
        until["until_default_answer"] = elapsed()
        info = client.call("db_wait_idle").answer
        until["until_graph"] = elapsed()
        give_queries(client, dataset.queries)
        _, all_exact = client.search("db_search", k=K, exact=True)
        _, by_graph = client.search("db_search", k=K)
        client.call("db_close")
    recalls = {
        "exact_answer": recall(one.distances(exact), one.truth, K),
        "default_answer": recall(one.distances(first), one.truth, K),
        "exact_at_rest": recall(dataset.distances(all_exact), dataset.truth, K),
        "default_at_rest": recall(dataset.distances(by_graph), dataset.truth, K),
    }
    if opened["points"] != len(dataset.base) or recalls["exact_answer"] < 1.0 or recalls["exact_at_rest"] < 1.0:
        raise RunnerError(f"after a kill: {opened['points']} of {len(dataset.base)} points, recall {recalls}")
    graphs = sum(segment["live_rows"] for segment in info["segments"] if segment["index"])
    assert graphs == len(dataset.base), info
    return {**until, "recovery": opened["recovery"], "segments": info["segment_count"], "recall": recalls}


def bars(result: dict[str, Any]) -> list[Bar]:
    loads, reopened, size = result["ingest"], result["reopen"], result["disk"]
    lines = [Bar("durable load, points per second", loads["points_per_second"][OURS], "at least", None)]
    for name, ratio in loads["over"].items():
        lines.append(Bar(f"durable load / {name}, points per second", ratio, "at least", INGEST_LIMITS.get(name)))
    for name in UNSYNCED:
        lines.append(Bar(f"durable load / {name} and one sync at its end", loads["over_synced"][name], "at least", None))
    lines += [
        Bar("reopen, ms", reopened["reopen_ms"], "at most", 30.0),
        Bar("reopen and first search, ms", reopened["reopen_and_search_ms"], "at most", None),
    ]
    for name, peer in result["peers"].items():
        lines.append(Bar(f"{name}: reopen and first search, ms", peer["reopen_and_search_ms"], "at most", None))
    lines += [
        Bar("disk when idle / vectors, metadata and index", size["idle_over_needed"], "at most", 1.15),
        Bar("disk when closed / vectors, metadata and index", size["closed_over_needed"], "at most", None),
    ]
    for name, peer in result["peers"].items():
        lines.append(Bar(f"{name}: disk as loaded / vectors and metadata", peer["disk_bytes_over_raw"], "at most", None))
    after, rows = result["unflushed"], result["unflushed"]["rows"]
    limits = {"until_opened": None, "until_exact_answer": 3.0, "until_default_answer": 3.0, "until_graph": 30.0}
    for name, limit in limits.items():
        what = name.replace("_", " ")
        lines.append(Bar(f"{rows:,} unflushed, killed: {what}, longest, s", after["longest_seconds"][name], "at most", limit))
    for kind in MERGES:
        found = result["merge"][kind]
        for quantile, name in QUANTILES.items():
            limit = 2.0 if kind == BACKGROUND and quantile == "p99_us" else None
            lines.append(Bar(f"searches beside a {kind} / quiet, {name}", found["over_after"][quantile], "at most", limit))
        before = found["over_before"]["p99_us"]
        lines.append(Bar(f"searches beside a {kind} / before it, 99 %", before, "at most", None))
    return lines
