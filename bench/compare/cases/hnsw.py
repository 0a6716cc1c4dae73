"""HNSW at equal parameters: build time, memory, recall at equal ef, speed at equal recall."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, load_into
from datasets import Dataset
from peers import GRAPH_PEERS, GraphPeer, versions
from report import Bar, paired_ratio
from runner_client import RunnerClient
from scoring import recall, speed_at

M, EF_CONSTRUCTION, BUILD_THREADS = 16, 200, 2
EFS = [10, 15, 20, 30, 40, 60, 80, 120, 200, 400]
TARGETS = [0.90, 0.95, 0.99]
K = 10
OURS = "vecdb"

Round = dict[str, Any]


class Ours:
    """Our side behind the same three calls as a peer."""

    name = OURS

    def __init__(self, client: RunnerClient) -> None:
        self._client = client
        self._built: dict[str, Any] = {}
        self.counters: dict[int, dict[str, Any]] = {}

    def build(self, base: np.ndarray, m: int, ef_construction: int, threads: int, seed: int) -> Any:
        timed = self._client.call("hnsw_build", m=m, ef_construction=ef_construction, threads=threads, seed=seed)
        assert timed.answer["rows"] == len(base)
        self._built = timed.answer
        return timed

    def search(self, queries: np.ndarray, k: int, ef: int, threads: int) -> tuple[np.ndarray, Any]:
        timed, ids = self._client.search("hnsw_search", k=k, ef=ef, threads=threads)
        count = timed.answer["queries"]
        counted = ("distance_computations", "nodes_visited")
        self.counters[ef] = {f"{name}_per_query": timed.answer[name] / count for name in counted}
        return ids, timed

    def memory_bytes(self) -> int:
        """Graph and vectors, in memory or in the file, whichever is more."""
        path = self._client.work / "graph.bin"
        file_bytes = self._client.call("hnsw_save", path=path).answer["file_bytes"]
        path.unlink()
        return max(file_bytes, self._built["index_bytes"]) + self._built["vector_bytes"]


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[int | None], Dataset]] = {
        "fashion-mnist": datasets.fashion_mnist,
        "debian-packages": datasets.debian_packages,
    }
    results = {}
    for name in settings.datasets:
        dataset = readers[name](settings.limit)
        results[f"hnsw-{name}"] = compare(settings, dataset)
        if settings.rotated and name == "fashion-mnist":
            turned = datasets.rotated(dataset, settings.seed)
            results[f"hnsw-{turned.name}"] = compare(settings, turned)
    return results


def compare(settings: Settings, dataset: Dataset) -> Result:
    """All rounds of one data set. Every round builds anew, with its own seed, and searches what it built."""
    rounds: list[Round] = []
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        ours = Ours(client)
        systems = [ours, *(GRAPH_PEERS[name](dataset.metric) for name in settings.peers)]
        for number in range(settings.rounds):
            rounds.append(one_round(systems, dataset, settings.seed + number))
            print(f"  {dataset.name}: round {number + 1} of {settings.rounds} done", flush=True)
        memory = {system.name: system.memory_bytes() for system in systems}
        counters = ours.counters
    result = {
        "runner": about,
        "versions": versions(),
        "dataset": dataset.name,
        "note": dataset.note,
        "rows": len(dataset.base),
        "dim": dataset.base.shape[1],
        "metric": dataset.metric,
        "queries_timed": len(dataset.queries),
        "queries_scored": dataset.scored,
        "parameters": {"m": M, "ef_construction": EF_CONSTRUCTION, "k": K, "seed": settings.seed},
        "threads": {"build": BUILD_THREADS, "search": 1},
        "memory_bytes": memory,
        "ours_per_ef": counters,
        **summary(rounds, list(memory)),
    }
    return result, bars(result, settings.peers)


def one_round(systems: list[Ours | GraphPeer], dataset: Dataset, seed: int) -> Round:
    """Builds with every system in turn, then searches with every system in turn at each ef."""
    result: Round = {system.name: {"search": {}} for system in systems}
    for system in systems:
        cost = system.build(dataset.base, M, EF_CONSTRUCTION, BUILD_THREADS, seed)
        result[system.name]["build_seconds"] = cost.seconds
        result[system.name]["build_cpu_seconds"] = cost.cpu_seconds
    for system in systems:
        system.search(dataset.queries, K, EFS[0], 1)
    for ef in EFS:
        for system in systems:
            ids, cost = system.search(dataset.queries, K, ef, 1)
            assert ids.shape == (len(dataset.queries), K), ids.shape
            result[system.name]["search"][ef] = {
                "recall": recall(dataset.distances(ids), dataset.truth, K),
                "queries_per_second": len(dataset.queries) / cost.seconds,
                "cpu_share": cost.cpu_seconds / cost.seconds,
            }
    return result


def summary(rounds: list[Round], names: list[str]) -> dict[str, Any]:
    """Medians over the rounds per system, and the ratios to each peer, round by round."""
    per_round = [{name: speeds(r[name]) for name in names} for r in rounds]
    systems, ratios = {}, {}
    for name in names:
        by_ef = {ef: [r[name]["search"][ef] for r in rounds] for ef in EFS}
        systems[name] = {
            "build_seconds": median(r[name]["build_seconds"] for r in rounds),
            "recall_by_ef": {ef: median(s["recall"] for s in found) for ef, found in by_ef.items()},
            "queries_per_second_by_ef": {ef: median(s["queries_per_second"] for s in found) for ef, found in by_ef.items()},
            "queries_per_second_at_recall": {t: at_recall(per_round, name, t) for t in TARGETS},
        }
    for name in names[1:]:
        build = [[r[side]["build_seconds"] for r in rounds] for side in (OURS, name)]
        gaps = {ef: systems[OURS]["recall_by_ef"][ef] - systems[name]["recall_by_ef"][ef] for ef in EFS}
        ratios[name] = {
            "build": paired_ratio(*build),
            "recall_difference_by_ef": gaps,
            "queries_per_second_at_recall": {
                t: paired_ratio(*([r[side][t].queries_per_second for r in per_round] for side in (OURS, name)))
                for t in TARGETS
            },
        }
    return {"systems": systems, "ours_over_peer": ratios, "rounds": rounds}


def speeds(system: dict[str, Any]) -> dict[float, Any]:
    """Speed at each recall in one round."""
    points = [(s["recall"], s["queries_per_second"]) for s in system["search"].values()]
    return {target: speed_at(points, target) for target in TARGETS}


def at_recall(per_round: list[dict[str, Any]], name: str, target: float) -> dict[str, Any]:
    found = [r[name][target] for r in per_round]
    bounds = sorted({f.bound for f in found})
    return {"queries_per_second": median(f.queries_per_second for f in found), "bound": " / ".join(bounds)}


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
