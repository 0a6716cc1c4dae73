"""Indexes of several systems side by side over the values of one search knob: build time, recall at equal knob, speed at
equal recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from statistics import median
from typing import Any, Protocol

import numpy as np

from datasets import Dataset
from peers import versions
from report import paired_ratio
from runner_client import RunnerClient
from scoring import recall, speed_at

K = 10
TARGETS = [0.90, 0.95, 0.99]
# A sweep ends with the first value of the knob that finds so much: all targets are below.
ENOUGH = 0.995
BUILD_THREADS = 2

Round = dict[str, Any]


class System(Protocol):
    """An index of ours or of a peer."""

    name: str

    def build(self, base: np.ndarray, threads: int, seed: int) -> Any: ...

    def search(self, queries: np.ndarray, k: int, knob: Any, threads: int) -> tuple[np.ndarray, Any]: ...

    def memory_bytes(self) -> int: ...


class Ours:
    """Our side behind the same calls as a peer."""

    def __init__(self, client: RunnerClient, name: str, spec: dict[str, Any], knob: str) -> None:
        self.name = name
        self._client, self._spec, self._knob = client, spec, knob
        self._built: dict[str, Any] = {}
        self.counters: dict[int, dict[str, Any]] = {}

    def build(self, base: np.ndarray, threads: int, seed: int) -> Any:
        timed = self._client.call("index_build", spec={**self._spec, "seed": seed}, threads=threads)
        assert timed.answer["rows"] == len(base)
        self._built = timed.answer
        return timed

    def search(self, queries: np.ndarray, k: int, knob: int, threads: int) -> tuple[np.ndarray, Any]:
        timed, ids = self._client.search("index_search", k=k, params={self._knob: knob}, threads=threads)
        count = timed.answer["queries"]
        counted = ("distance_computations", "nodes_visited")
        self.counters[knob] = {f"{name}_per_query": timed.answer[name] / count for name in counted}
        return ids, timed

    def memory_bytes(self) -> int:
        """Index and vectors, in memory or in the file, whichever is more."""
        path = self._client.work / "index.bin"
        file_bytes = self._client.call("index_save", path=path).answer["file_bytes"]
        path.unlink()
        return max(file_bytes, self._built["index_bytes"]) + self._built["vector_bytes"]

    def describe(self) -> Any:
        return self._built["index"]


def facts(about: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """What a result says of who was measured on what."""
    return {
        "runner": about,
        "versions": versions(),
        "dataset": dataset.name,
        "note": dataset.note,
        "rows": len(dataset.base),
        "dim": dataset.base.shape[1],
        "metric": dataset.metric,
        "queries_timed": len(dataset.queries),
        "queries_scored": dataset.scored,
        "threads": {"build": BUILD_THREADS, "search": 1},
    }


def one_round(
    systems: Sequence[System],
    dataset: Dataset,
    seed: int,
    knobs: Mapping[str, Sequence[Any]],
    build: bool = True,
    enough: float = 2.0,
) -> Round:
    """Builds with every system in turn (or keeps what the round before built), then searches with every system in turn at
    each value of its knob, until one finds `enough`."""
    result: Round = {system.name: {"search": {}} for system in systems}
    for system in systems if build else ():
        cost = system.build(dataset.base, BUILD_THREADS, seed)
        result[system.name]["build_seconds"] = cost.seconds
        result[system.name]["build_cpu_seconds"] = cost.cpu_seconds
    for system in systems:
        system.search(dataset.queries, K, knobs[system.name][0], 1)
    for step in zip_longest(*(knobs[system.name] for system in systems)):
        for system, knob in zip(systems, step, strict=True):
            found = result[system.name]["search"]
            if knob is None or any(f["recall"] >= enough for f in found.values()):
                continue
            ids, cost = system.search(dataset.queries, K, knob, 1)
            assert ids.shape == (len(dataset.queries), K), ids.shape
            found[knob] = {
                "recall": recall(dataset.distances(ids), dataset.truth, K),
                "queries_per_second": len(dataset.queries) / cost.seconds,
                "cpu_share": cost.cpu_seconds / cost.seconds,
            }
    return result


def summary(rounds: list[Round], ours: Sequence[str], peers: Sequence[str], knob: str) -> dict[str, Any]:
    """Medians over the rounds per system, and the ratios of each of ours to each peer, round by round."""
    names = [*ours, *peers]
    built = [r for r in rounds if "build_seconds" in r[names[0]]]
    per_round = [{name: speeds(r[name]) for name in names} for r in rounds]
    systems = {}
    for name in names:
        everywhere = set.intersection(*(set(r[name]["search"]) for r in rounds))
        by_knob = {value: [r[name]["search"][value] for r in rounds] for value in sorted(everywhere)}
        systems[name] = {
            "build_seconds": median(r[name]["build_seconds"] for r in built),
            f"recall_by_{knob}": {value: median(s["recall"] for s in found) for value, found in by_knob.items()},
            f"queries_per_second_by_{knob}": {
                value: median(s["queries_per_second"] for s in found) for value, found in by_knob.items()
            },
            "queries_per_second_at_recall": {t: at_recall(per_round, name, t) for t in TARGETS},
        }
    ratios = {
        (one, peer): {
            "build": paired_ratio(*([r[side]["build_seconds"] for r in built] for side in (one, peer))),
            f"recall_difference_by_{knob}": {
                value: recalls - systems[peer][f"recall_by_{knob}"][value]
                for value, recalls in systems[one][f"recall_by_{knob}"].items()
                if value in systems[peer][f"recall_by_{knob}"]
            },
            "queries_per_second_at_recall": {
                t: paired_ratio(*([r[side][t].queries_per_second for r in per_round] for side in (one, peer)))
                for t in TARGETS
            },
        }
        for one in ours
        for peer in peers
    }
    return {"systems": systems, "ratios": ratios, "rounds": rounds}


def speeds(system: dict[str, Any]) -> dict[float, Any]:
    """Speed at each recall in one round."""
    points = [(s["recall"], s["queries_per_second"]) for s in system["search"].values()]
    return {target: speed_at(points, target) for target in TARGETS}


def at_recall(per_round: list[dict[str, Any]], name: str, target: float) -> dict[str, Any]:
    found = [r[name][target] for r in per_round]
    bounds = sorted({f.bound for f in found})
    return {"queries_per_second": median(f.queries_per_second for f in found), "bound": " / ".join(bounds)}
