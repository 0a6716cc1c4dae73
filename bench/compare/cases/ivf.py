"""IVF at equal numbers of lists against faiss: lists of vectors against IVFFlat, product codes against IVFPQFastScan with
refinement at equal bytes per vector. Build time, memory, speed at equal recall; and k-means against faiss.Kmeans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, load_into
from cases.sweep import BUILD_THREADS, K, Ours, facts, one_round, summary
from datasets import Dataset
from peers import FaissIvfFlatPeer, FaissIvfPqPeer, faiss_kmeans, timed
from report import Bar, paired_ratio
from runner_client import RunnerClient

NPROBES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96]
# What our lists hold, and the peer that it is compared with.
PEER_OF = {"sq8": FaissIvfFlatPeer.name, "vector": FaissIvfFlatPeer.name, "pq": FaissIvfPqPeer.name}
CODES = list(PEER_OF)
# Candidates that the peer measures by vectors, in times k. Ours are set by the build.
REFINED = [3, 10, 30]
ITERATIONS = 10
# Rows per cluster: what faiss samples anyway.
CLUSTERED_ROWS_PER_CLUSTER = 256


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-128": lambda: datasets.generated(settings.limit or 1_000_000, settings.seed),
    }
    results = {}
    for name, read in readers.items():
        if name in settings.datasets:
            results[f"ivf-{name}"] = compare(settings, read())
    return results


def compare(settings: Settings, dataset: Dataset) -> Result:
    """All rounds of one data set. Every round builds anew, with its own seed, and searches what it built. The scored
    queries are enough: scans of lists take long."""
    dataset = replace(dataset, queries=dataset.queries[: dataset.scored])
    rounds, clustered = [], []
    lists = round(len(dataset.base) ** 0.5)
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        ours = [Ours(client, code, {"type": "ivf", "nlist": lists, "code": code}, "nprobe") for code in CODES]
        flat = FaissIvfFlatPeer(dataset.metric, lists)
        # As many segments as `pq` has where no number is given.
        coded = FaissIvfPqPeer(dataset.metric, lists, -(-dataset.base.shape[1] // 2))
        peers = {peer.name: peer for peer in (flat, coded)}
        knobs = {name: NPROBES for name in [*CODES, flat.name]}
        knobs[coded.name] = [(nprobe, refined) for nprobe in NPROBES for refined in REFINED]
        memory = {}
        for number in range(settings.rounds):
            seed = settings.seed + number
            # The runner holds one index at a time: each of ours is built and searched before the next.
            one = {}
            for system in ours:
                peer = peers[PEER_OF[system.name]]
                one |= one_round([system, peer], dataset, seed, knobs)
                memory[system.name] = system.memory_bytes()
                memory[peer.name] = peer.memory_bytes()
            rounds.append(one)
            clustered.append(kmeans(client, dataset, seed))
            print(f"  {dataset.name}: round {number + 1} of {settings.rounds} done", flush=True)
        counters = {system.name: system.counters for system in ours}
        described = {system.name: system.describe() for system in ours}
    found = summary(rounds, CODES, list(peers), "nprobe")
    result = {
        **facts(about, dataset),
        "parameters": {"nlist": lists, "k": K, "seed": settings.seed},
        "memory_bytes": memory,
        "ours_per_nprobe": counters,
        "indexes": described,
        "systems": found["systems"],
        "ours_over_peer": {code: found["ratios"][code, PEER_OF[code]] for code in CODES},
        "rounds": found["rounds"],
        "kmeans": {
            "rounds": clustered,
            "seconds": paired_ratio(*([r[side]["seconds"] for r in clustered] for side in ("ours", "faiss"))),
            "objective": paired_ratio(*([r[side]["objective"] for r in clustered] for side in ("ours", "faiss"))),
            "seconds_median": {side: median(r[side]["seconds"] for r in clustered) for side in ("ours", "faiss")},
        },
    }
    return result, bars(result)


def kmeans(client: RunnerClient, dataset: Dataset, seed: int) -> dict[str, Any]:
    """The same number of clusters and iterations over the same rows; the objective is computed here, for both."""
    base = dataset.base
    clusters = max(1, len(base) // CLUSTERED_ROWS_PER_CLUSTER)
    out = client.work / "centroids.f32"
    cost = client.call(
        "k_means", clusters=clusters, iterations=ITERATIONS, threads=BUILD_THREADS, seed=seed, out=out
    )
    ours = np.fromfile(out, "<f4").reshape(clusters, base.shape[1])
    out.unlink()
    theirs, their_cost = timed(lambda: faiss_kmeans(base, clusters, ITERATIONS, BUILD_THREADS, seed))
    return {
        "clusters": clusters,
        "ours": {"seconds": cost.seconds, "objective": objective(base, ours)},
        "faiss": {"seconds": their_cost.seconds, "objective": objective(base, theirs)},
    }


def objective(base: np.ndarray, centroids: np.ndarray) -> float:
    """Mean squared distance of a sample of rows to their nearest centroids, in float64."""
    sample = base[:: max(1, len(base) // 20_000)].astype(np.float64)
    centroids = centroids.astype(np.float64)
    norms = np.square(centroids).sum(axis=1)
    total = 0.0
    for start in range(0, len(sample), 2_000):
        rows = sample[start : start + 2_000]
        distances = np.square(rows).sum(axis=1)[:, None] - 2.0 * (rows @ centroids.T) + norms
        total += float(distances.min(axis=1).clip(0.0).sum())
    return total / len(sample)


def bars(result: dict[str, Any]) -> list[Bar]:
    lines = []
    name = result["dataset"]
    for code in CODES:
        ratio = result["ours_over_peer"][code]
        prefix = f"{name}: ivf of {code} / {PEER_OF[code]}, "
        memory = result["memory_bytes"][code] / result["memory_bytes"][PEER_OF[code]]
        lines.append(Bar(prefix + "build time", ratio["build"], "at most", 1.0))
        lines.append(Bar(prefix + "memory, with the vectors", memory, "at most", None))
        for target, value in ratio["queries_per_second_at_recall"].items():
            limit = 1.2 if target == 0.95 else None
            lines.append(Bar(prefix + f"queries/s at recall {target:.2f}", value, "at least", limit))
    found = result["kmeans"]
    lines.append(Bar(f"{name}: k-means / faiss.Kmeans, time", found["seconds"], "at most", 1.0))
    lines.append(Bar(f"{name}: k-means / faiss.Kmeans, objective", found["objective"], "at most", 1.01))
    return lines
