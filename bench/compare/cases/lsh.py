"""LSH against faiss IndexLSH with refinement: build time, memory, speed at equal recall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import datasets
from cases import Result, Settings, load_into
from cases.sweep import K, Ours, facts, one_round, summary
from datasets import Dataset
from peers import FaissLshPeer
from report import Bar

OURS = "vecdb"
PROBES = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
BITS = [256, 512, 1024]
REFINED = [3, 10, 30, 100, 300, 1000]
TARGET = 0.90


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-128": lambda: datasets.generated(settings.limit or 1_000_000, settings.seed),
    }
    return {f"lsh-{name}": compare(settings, read()) for name, read in readers.items() if name in settings.datasets}


def compare(settings: Settings, dataset: Dataset) -> Result:
    """All rounds of one data set. Every round builds anew; the peer with the best speed counts."""
    # Scans of all codes take long: a part of the queries says as much.
    scored = 200
    dataset = replace(dataset, queries=dataset.queries[:scored], truth=dataset.truth[:scored])
    rounds = []
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        ours = Ours(client, OURS, {"type": "lsh"}, "probes")
        systems = [ours, *(FaissLshPeer(dataset.metric, bits) for bits in BITS)]
        peers = [system.name for system in systems[1:]]
        knobs = {OURS: PROBES, **{peer: REFINED for peer in peers}}
        for number in range(settings.rounds):
            rounds.append(one_round(systems, dataset, settings.seed + number, knobs))
            print(f"  {dataset.name}: round {number + 1} of {settings.rounds} done", flush=True)
        memory = {system.name: system.memory_bytes() for system in systems}
        described = ours.describe()
    found = summary(rounds, [OURS], peers, "knob")
    result = {
        **facts(about, dataset),
        "parameters": {"k": K, "seed": settings.seed},
        "memory_bytes": memory,
        "ours_per_probes": ours.counters,
        "index": described,
        "systems": found["systems"],
        "ours_over_peer": {peer: ratio for (_, peer), ratio in found["ratios"].items()},
        "rounds": found["rounds"],
    }
    return result, bars(result, peers)


def bars(result: dict[str, Any], peers: list[str]) -> list[Bar]:
    name = result["dataset"]

    def speed(peer: str) -> float:
        return result["systems"][peer]["queries_per_second_at_recall"][TARGET]["queries_per_second"]

    best = max(peers, key=speed)
    ratio = result["ours_over_peer"][best]
    memory = result["memory_bytes"][OURS] / result["memory_bytes"][best]
    lines = [
        Bar(f"{name}: lsh / {best}, build time", ratio["build"], "at most", 1.0),
        Bar(f"{name}: lsh / {best}, memory, with the vectors", memory, "at most", None),
    ]
    for target, value in ratio["queries_per_second_at_recall"].items():
        limit = 2.0 if target == TARGET else None
        lines.append(Bar(f"{name}: lsh / {best}, queries/s at recall {target:.2f}", value, "at least", limit))
    return lines
