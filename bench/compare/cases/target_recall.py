"""`target_recall` on queries that calibration never saw: is it reached, and with how much more work than needed?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import datasets
from cases import Result, Settings, load_into
from cases.sweep import BUILD_THREADS, K, TARGETS, facts
from datasets import Dataset
from report import Bar
from runner_client import RunnerClient
from scoring import recall

NPROBES = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 65, 80, 100, 130, 180, 244]
EFS = [10, 12, 15, 20, 25, 30, 40, 50, 65, 80, 100, 130, 170, 220, 300, 400, 600, 800]
# By kind: what to build, and the knobs among which the least work is looked for.
KINDS: dict[str, tuple[dict[str, Any], list[dict[str, int]]]] = {
    "hnsw": ({"type": "hnsw"}, [{"ef": ef} for ef in EFS]),
    "ivf": ({"type": "ivf"}, [{"nprobe": nprobe} for nprobe in NPROBES]),
    "ivf of pq": (
        {"type": "ivf", "code": "pq"},
        [{"nprobe": nprobe, "rerank": rerank} for rerank in (40, 100, 250) for nprobe in NPROBES],
    ),
    "lsh": ({"type": "lsh"}, [{"probes": 2**step} for step in range(1, 15)]),
    "diskann": ({"type": "diskann"}, [{"ef": ef} for ef in EFS]),
}
REACHED_WITHIN = 0.01
WORK_MAX = 2.0


def run(settings: Settings) -> dict[str, Result]:
    readers = {"fashion-mnist": datasets.fashion_mnist, "debian-packages": datasets.debian_packages}
    return {
        f"target-recall-{name}": compare(settings, read(settings.limit))
        for name, read in readers.items()
        if name in settings.datasets
    }


def compare(settings: Settings, dataset: Dataset) -> Result:
    """One build of each kind: recall and distance computations are counted, not timed."""
    dataset = replace(dataset, queries=dataset.queries[: dataset.scored])
    found = {}
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        for kind, (spec, knobs) in KINDS.items():
            client.call("index_build", spec={**spec, "seed": settings.seed}, threads=BUILD_THREADS)
            swept = [{**params, **measured(client, dataset, params)} for params in knobs]
            asked = {target: measured(client, dataset, {"target_recall": target}) for target in TARGETS}
            for target, one in asked.items():
                needed = work_for(swept, target)
                one["work_over_needed"] = one["distances"] / needed if needed else None
            found[kind] = {"by_knob": swept, "by_target": asked}
            told = {target: (round(one["recall"], 4), one["work_over_needed"]) for target, one in asked.items()}
            print(f"  {dataset.name}: {kind} {told}", flush=True)
    result = {**facts(about, dataset), "kinds": found}
    return result, bars(result)


def measured(client: RunnerClient, dataset: Dataset, params: dict[str, Any]) -> dict[str, Any]:
    timed, ids = client.search("index_search", k=K, params=params, threads=1)
    distances = timed.answer["distance_computations"] / timed.answer["queries"]
    return {"recall": recall(dataset.distances(ids), dataset.truth, K), "distances": distances}


def work_for(points: list[dict[str, Any]], target: float) -> float | None:
    """The least work that finds so much, between the values measured; `None` where none of them does."""
    points = sorted(points, key=lambda point: point["distances"])
    below = None
    for point in points:
        if point["recall"] >= target:
            if below is None:
                return point["distances"]
            share = (target - below["recall"]) / (point["recall"] - below["recall"])
            return below["distances"] + share * (point["distances"] - below["distances"])
        if below is None or point["recall"] > below["recall"]:
            below = point
    return None


def bars(result: dict[str, Any]) -> list[Bar]:
    lines = []
    for kind, found in result["kinds"].items():
        for target, one in found["by_target"].items():
            prefix = f"{result['dataset']}: {kind} asked for recall {target:.2f}, "
            lines.append(Bar(prefix + "found", one["recall"], "at least", target - REACHED_WITHIN))
            lines.append(Bar(prefix + "work / needed", one["work_over_needed"], "at most", WORK_MAX))
    return lines
