"""Graph search at the defaults of a collection against the fastest in-memory graphs: queries/s at equal recall with one and two
threads, build time, memory."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import datasets
from cases import Result, Settings, load_into
from cases.sweep import ENOUGH, K, Ours, facts, one_round, summary
from datasets import Dataset
from peers import (
    FaissHnswPeer,
    FaissHnswSq8Peer,
    GraphPeer,
    HnswlibPeer,
    SvsLeanVecPeer,
    SvsLvqPeer,
    SvsPeer,
    UsearchPeer,
    versions,
)
from report import Bar

M, EF_CONSTRUCTION = 16, 200
EFS = [10, 12, 15, 20, 30, 40, 60, 80, 120, 200, 400, 800]
OURS = "vecdb"
OF_INTEL: list[type[GraphPeer]] = [SvsLvqPeer, SvsLeanVecPeer] if SvsPeer.runs_here() else []
PEERS: list[type[GraphPeer]] = [HnswlibPeer, FaissHnswPeer, FaissHnswSq8Peer, UsearchPeer, *OF_INTEL]
GOALS = {0.90: 2.0, 0.95: 2.0, 0.99: 1.5}


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        # Rotated, so that nobody wins by finding out that its numbers are bytes.
        "fashion-mnist-rotated": lambda: datasets.rotated(datasets.fashion_mnist(settings.limit), settings.seed),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-128": lambda: datasets.generated(settings.limit or 1_000_000, settings.seed),
        "generated-768": lambda: datasets.generated(settings.limit or 200_000, settings.seed, 768, "cosine"),
    }
    return {f"graph-{name}": compare(settings, read()) for name, read in readers.items() if name in settings.datasets}


def compare(settings: Settings, dataset: Dataset) -> Result:
    """All rounds of one data set. The first `settings.builds` build anew, each with its own seed; the others search again."""
    rounds = []
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        # No parameter is named: what a collection gets that names none.
        ours = Ours(client, OURS, {"type": "hnsw"}, "ef")
        systems = [ours, *(peer(dataset.metric, M, EF_CONSTRUCTION) for peer in PEERS)]
        knobs = {system.name: EFS for system in systems}
        for number in range(settings.rounds):
            rounds.append(one_round(systems, dataset, settings.seed + number, knobs, number < settings.builds, ENOUGH))
            print(f"  {dataset.name}: round {number + 1} of {settings.rounds} done", flush=True)
        memory = {system.name: system.memory_bytes() for system in systems}
        counters, described = ours.counters, ours.describe()
        threads = [two_threads(ours, dataset) for _ in range(settings.rounds)]
    names = [peer.name for peer in PEERS]
    found = summary(rounds, [OURS], names, "ef")
    result = {
        **facts(about, dataset),
        "versions": versions("faiss-cpu", "hnswlib", "usearch", "scalable-vs", "numpy"),
        "peers_left_out": [] if OF_INTEL else ["svs: its compression needs a processor of Intel"],
        "builds": min(settings.builds, settings.rounds),
        "parameters": {"m": M, "ef_construction": EF_CONSTRUCTION, "k": K, "seed": settings.seed},
        "memory_bytes": memory,
        "vector_bytes": dataset.base.nbytes,
        "index": described,
        "ours_per_ef": counters,
        "systems": found["systems"],
        "ours_over_peer": {peer: ratio for (_, peer), ratio in found["ratios"].items()},
        "two_threads_over_one": median(threads),
        "rounds": found["rounds"],
    }
    return result, bars(result, names)


def two_threads(ours: Ours, dataset: Dataset) -> float:
    """How many times as fast two threads are as one."""
    seconds = {threads: ours.search(dataset.queries, K, 40, threads)[1].seconds for threads in (1, 2)}
    return seconds[1] / seconds[2]


def bars(result: dict[str, Any], peers: list[str]) -> list[Bar]:
    """Against the best peer at each recall."""
    name, lines = result["dataset"], []
    for target, goal in GOALS.items():
        speeds = {}
        for peer in peers:
            found = result["systems"][peer]["queries_per_second_at_recall"].get(target)
            if found and found["queries_per_second"]:
                speeds[peer] = found["queries_per_second"]
        best = max(speeds, key=lambda peer: speeds[peer])
        ratio = result["ours_over_peer"][best]["queries_per_second_at_recall"][target]
        lines.append(Bar(f"{name}: queries/s at recall {target:.2f} over {best} (goal {goal})", ratio, "at least", 1.2))
    build = result["ours_over_peer"][HnswlibPeer.name]["build"]
    beyond = (result["memory_bytes"][OURS] - result["vector_bytes"]) / result["vector_bytes"]
    return [
        *lines,
        Bar(f"{name}: build time over hnswlib (goal 0.5)", build, "at most", 0.8),
        Bar(f"{name}: bytes beyond the vectors over those of the vectors", beyond, "at most", 1.0),
        Bar(f"{name}: two threads over one", result["two_threads_over_one"], "at least", 1.9),
    ]
