"""HNSW at equal parameters: build time, memory, recall at equal ef, speed at equal recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
from cases import Result, Settings, load_into
from cases.sweep import K, Ours, facts, one_round, summary
from datasets import Dataset
from peers import GRAPH_PEERS
from report import Bar

M, EF_CONSTRUCTION = 16, 200
EFS = [10, 15, 20, 30, 40, 60, 80, 120, 200, 400]
OURS = "vecdb"
# As published, on the vectors: the same work as the peers do. What collections get by default is measured in `graph`.
SPEC = {"type": "hnsw", "m": M, "ef_construction": EF_CONSTRUCTION, "alpha": 1.0, "quantization": "none"}


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[int | None], Dataset]] = {
        "fashion-mnist": datasets.fashion_mnist,
        "debian-packages": datasets.debian_packages,
    }
    results = {}
    for name, read in readers.items():
        if name not in settings.datasets:
            continue
        dataset = read(settings.limit)
        results[f"hnsw-{name}"] = compare(settings, dataset)
        if settings.rotated and name == "fashion-mnist":
            turned = datasets.rotated(dataset, settings.seed)
            results[f"hnsw-{turned.name}"] = compare(settings, turned)
    return results


def compare(settings: Settings, dataset: Dataset) -> Result:
    """All rounds of one data set. Every round builds anew, with its own seed, and searches what it built."""
    rounds = []
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        ours = Ours(client, OURS, SPEC, "ef")
        systems = [ours, *(GRAPH_PEERS[name](dataset.metric, M, EF_CONSTRUCTION) for name in settings.peers)]
        knobs = {system.name: EFS for system in systems}
        for number in range(settings.rounds):
            rounds.append(one_round(systems, dataset, settings.seed + number, knobs))
            print(f"  {dataset.name}: round {number + 1} of {settings.rounds} done", flush=True)
        memory = {system.name: system.memory_bytes() for system in systems}
        counters = ours.counters
    found = summary(rounds, [OURS], settings.peers, "ef")
    result = {
        **facts(about, dataset),
        "parameters": {"m": M, "ef_construction": EF_CONSTRUCTION, "k": K, "seed": settings.seed},
        "memory_bytes": memory,
        "ours_per_ef": counters,
        "systems": found["systems"],
        "ours_over_peer": {peer: ratio for (_, peer), ratio in found["ratios"].items()},
        "rounds": found["rounds"],
    }
    return result, bars(result, settings.peers)


def bars(result: dict[str, Any], peers: list[str]) -> list[Bar]:
    """The bars hold against hnswlib on Fashion-MNIST; elsewhere the same values inform."""
    lines = []
    for peer in peers:
        binding = peer == "hnswlib" and result["dataset"] == "fashion-mnist"
        ratio = result["ours_over_peer"][peer]
        memory = result["memory_bytes"][OURS] / result["memory_bytes"][peer]
        wanted = [
            ("build time", ratio["build"], "at most", 0.8),
            ("memory", memory, "at most", 1.1),
            ("least recall difference at equal ef", min(ratio["recall_difference_by_ef"].values()), "at least", -0.005),
        ]
        for target, value in ratio["queries_per_second_at_recall"].items():
            limit = 1.25 if target == 0.95 else None
            wanted.append((f"queries/s at recall {target:.2f}", value, "at least", limit))
        prefix = f"{result['dataset']}: ours / {peer}, "
        lines += [Bar(prefix + name, value, kind, limit if binding else None) for name, value, kind, limit in wanted]
    return lines
