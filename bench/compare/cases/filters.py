"""Filtered searches against embedded peers, cell by cell of selectivity and correlation, and the planner against its own
plans."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings
from datasets import Dataset
from filter_peers import FILTER_PEERS, FilterPeer, Range
from report import Bar

K = 10
OURS = "vecdb"
SHARES = [0.5, 0.1, 0.02, 0.01, 0.001, 0.0001]
CORRELATIONS = ["none", "near", "far"]
QUERIES = 100
# A peer that scans takes long: so many seconds per cell and round, and at least ten queries.
PEER_SECONDS = 1.0
PEER_QUERIES_MIN = 10
# Ours answers all queries in some milliseconds, most of which would go to what others left in the caches.
OWN_SECONDS = 0.2
REGRET_FILTERS = 500
PLANS = ["scan", "walk", "hop"]
# Searches whose filter has been there before.
AGAIN = "again"
# What a row looked up in a mask costs beside a distance, as the engine counts it.
CHECK_WORK = 1 / 32


@dataclass(frozen=True)
class World:
    """The rows with two fields: `rank`, which goes with nothing, and `place`, which goes with where a row lies; both are
    uniform from 0 to 1. And where each query lies on `place`."""

    dataset: Dataset
    rank: np.ndarray
    place: np.ndarray
    query_place: np.ndarray

    def range(self, correlation: str, share: float, query: int, generator: np.random.Generator) -> Range:
        """A range of one field that holds so large a share of the rows."""
        if correlation == "none":
            low = generator.uniform(0.0, 1.0 - share)
            return Range("rank", low, low + share)
        own = self.query_place[query]
        if correlation == "near":
            low = float(np.clip(own - share / 2, 0.0, 1.0 - share))
            return Range("place", low, low + share)
        return Range("place", 1.0 - share, 1.0) if own < 0.5 else Range("place", 0.0, share)

    def mask(self, wanted: Range) -> np.ndarray:
        values = self.rank if wanted.field == "rank" else self.place
        return (values >= wanted.low) & (values <= wanted.high)

    def nearest(self, query: int, mask: np.ndarray) -> float:
        """Exact distance of the K-th (or last) nearest row of the mask; -1 where it is empty."""
        rows = self.dataset.base[mask].astype(np.float64)
        if len(rows) == 0:
            return -1.0
        return float(np.partition(self.distances(rows, query), min(K, len(rows)) - 1)[min(K, len(rows)) - 1])

    def distances(self, rows: np.ndarray, query: int) -> np.ndarray:
        asked = self.dataset.queries[query].astype(np.float64)
        rows = rows.astype(np.float64)
        if self.dataset.metric == "l2":
            return np.square(rows - asked).sum(axis=1)
        return 1.0 - rows @ asked / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))

    def recall(self, query: int, found: list[int], worst: float, expected: int) -> float:
        if expected == 0:
            return 1.0 if not found else 0.0
        own = self.distances(self.dataset.base[found], query) if found else np.empty(0)
        return float((own <= worst + abs(worst) * 1e-5 + 1e-9).sum()) / expected


def world(dataset: Dataset, seed: int) -> World:
    generator = np.random.default_rng(seed)
    rows = len(dataset.base)
    centred = dataset.base - dataset.base.mean(axis=0)
    direction = np.linalg.svd(centred[generator.permutation(rows)[:5_000]], full_matrices=False)[2][0]
    along = dataset.base @ direction
    order = np.sort(along)
    place = np.empty(rows)
    place[np.argsort(along)] = (np.arange(rows) + 0.5) / rows
    queries = np.searchsorted(order, dataset.queries[:QUERIES] @ direction) / rows
    return World(dataset, generator.permutation(rows) / rows, place, queries)


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-128": lambda: datasets.generated(settings.limit or 1_000_000, settings.seed),
    }
    return {f"filters-{name}": compare(settings, read()) for name, read in readers.items() if name in settings.datasets}


def compare(settings: Settings, dataset: Dataset) -> Result:
    about = world(dataset, settings.seed)
    ours = Ours(settings.work / f"vecdb-{dataset.name}", about)
    kinds = [kind for kind in FILTER_PEERS if kind.rows_max is None or len(dataset.base) <= kind.rows_max]
    peers = [kind(settings.work / f"{kind.name}-{dataset.name}", dataset) for kind in kinds]
    for peer in peers:
        peer.load(about.rank, about.place)
        print(f"  {dataset.name}: {peer.name} is loaded", flush=True)
    cells = {}
    for correlation in CORRELATIONS:
        for share in SHARES:
            cells[f"{correlation} {share:g}"] = cell(settings, about, ours, peers, correlation, share)
            print(f"  {dataset.name}: {correlation} {share:g} done", flush=True)
    regret = planner_regret(settings, about, ours)
    result = {
        "dataset": dataset.name,
        "rows": len(dataset.base),
        "dimension": dataset.base.shape[1],
        "metric": dataset.metric,
        "note": dataset.note,
        "versions": {peer.name: peer.version for peer in peers},
        "peers_left_out": {kind.name: f"more than {kind.rows_max} rows" for kind in FILTER_PEERS if kind not in kinds},
        "cells": cells,
        "planner": regret,
        "filter_ms": ours.filter_ms(),
    }
    ours.close()
    for peer in peers:
        peer.close()
    return result, bars(result)


class Ours:
    """The embedded Python package, a collection with shipped defaults."""

    def __init__(self, folder: Path, about: World) -> None:
        from vecdb import VecDBClient

        dataset = about.dataset
        self.client = VecDBClient(path=str(folder))
        self.dataset = dataset
        self.client.create_collection("c", dataset.base.shape[1], dataset.metric)
        for start in range(0, len(dataset.base), 5_000):
            rows = range(start, min(start + 5_000, len(dataset.base)))
            self.client.upsert(
                "c",
                ids=list(rows),
                vectors=dataset.base[rows.start : rows.stop],
                metadata=[
                    {"rank": float(about.rank[row]), "place": float(about.place[row]), "kind": f"kind {row % 10}"}
                    for row in rows
                ],
            )
        self.client.compact("c")

    def search(
        self,
        query: int,
        wanted: Range,
        plan: str | None = None,
        explain: bool = False,
        plan_costs: str = "measured",
    ) -> Any:
        params = {"plan": plan} if plan else {"plan_costs": plan_costs}
        return self.client.search(
            "c", self.dataset.queries[query], K, wanted.to_mongo(), params, with_metadata=False, explain=explain
        )

    def work(self, query: int, wanted: Range, plan: str | None = None) -> tuple[float, str, set[int]]:
        """Modelled work of a search, the plan of its largest part, and what it found."""
        found = self.search(query, wanted, plan, explain=True, plan_costs="counted")
        parts = found.explanation["parts"]
        work = sum(part["distance_computations"] + part["rows_checked"] * CHECK_WORK for part in parts)
        return work, max(parts, key=lambda part: part["points"])["plan"], set(found.ids)

    def filter_ms(self) -> float:
        """Time to evaluate a category and two ranges over all rows, in milliseconds: the median of 51 searches."""
        times = []
        for query in range(51):
            # Each is new, so that none is remembered.
            low = 0.2 + query * 1e-6
            condition = {"kind": "kind 3", "rank": {"$gte": low, "$lte": 0.7}, "place": {"$gte": 0.1, "$lte": 0.6}}
            found = self.client.search(
                "c", self.dataset.queries[query], K, condition, with_metadata=False, explain=True
            )
            times.append(found.explanation["filter_us"] / 1e3)
        return median(times)

    def close(self) -> None:
        self.client.close()


def cell(
    settings: Settings, about: World, ours: Ours, peers: list[FilterPeer], correlation: str, share: float
) -> dict[str, Any]:
    generator = np.random.default_rng(settings.seed + 1)
    asked = min(QUERIES, len(about.dataset.queries))
    ranges = [about.range(correlation, share, query, generator) for query in range(asked)]
    masks = [about.mask(wanted) for wanted in ranges]
    worst = [about.nearest(query, mask) for query, mask in enumerate(masks)]
    expected = [min(K, int(mask.sum())) for mask in masks]

    def measured(search: Callable[[int, int], list[int]], least: float) -> dict[str, float]:
        """Searches all queries once, and again until `least` seconds have gone; at most `PEER_SECONDS`. `search` takes the
        query and how often all were searched before."""
        found, number, elapsed, started = [], 0, 0.0, time.perf_counter()
        while elapsed < PEER_SECONDS or number < PEER_QUERIES_MIN:
            turn, query = divmod(number, asked)
            if query == 0 and turn > 0 and elapsed >= least:
                break
            ids = search(query, turn)
            if turn == 0:
                found.append(ids)
            number += 1
            elapsed = time.perf_counter() - started
        recalls = [about.recall(query, ids, worst[query], expected[query]) for query, ids in enumerate(found)]
        return {"queries_per_second": number / elapsed, "recall": float(np.mean(recalls)), "queries": number}

    rounds: dict[str, list[dict[str, float]]] = {}
    for number in range(settings.rounds):
        # Filters that are new every time are what the peers are held against; filters that return, which the engine
        # remembers, are for the plans among each other.
        def new(query: int, turn: int, number: int = number) -> list[int]:
            return ours.search(query, ranges[query].shifted((number + turn * settings.rounds) * 1e-12)).ids

        rounds.setdefault(OURS, []).append(measured(new, OWN_SECONDS))
        for plan in [None, None, None, *PLANS]:
            name = f"{OURS} {plan or AGAIN}"
            run = measured(lambda query, _, plan=plan: ours.search(query, ranges[query], plan).ids, OWN_SECONDS)
            rounds.setdefault(name, []).append(run)
        for peer in peers:
            rounds.setdefault(peer.name, []).append(
                measured(lambda query, _, peer=peer: peer.search(query, ranges[query], K), 0.0)
            )
    systems = {
        name: {
            # The first two runs of a filter that returns are those in which it becomes known.
            "queries_per_second": median(run["queries_per_second"] for run in runs[2 if name.endswith(AGAIN) else 0 :]),
            "recall": min(run["recall"] for run in runs),
        }
        for name, runs in rounds.items()
    }
    return {"matching": float(np.mean([mask.sum() for mask in masks])), "systems": systems}


def planner_regret(settings: Settings, about: World, ours: Ours) -> dict[str, Any]:
    """The work of the plan chosen over that of the cheapest plan that finds 9 of 10, for random filters and queries."""
    generator = np.random.default_rng(settings.seed + 2)
    ratios, chosen = [], []
    asked = min(QUERIES, len(about.dataset.queries))
    for number in range(REGRET_FILTERS):
        query = number % asked
        share = float(10 ** generator.uniform(-4, 0))
        wanted = about.range(CORRELATIONS[number % 3], share, query, generator)
        exact_work, _, exact = ours.work(query, wanted, "scan")
        if not exact:
            continue
        best = exact_work
        for plan in PLANS[1:]:
            work, _, found = ours.work(query, wanted, plan)
            if len(found & exact) >= 0.9 * len(exact):
                best = min(best, work)
        work, plan, _ = ours.work(query, wanted)
        ratios.append(work / max(best, 1.0))
        chosen.append(plan)
    return {
        "filters": len(ratios),
        "within_25_percent": float(np.mean(np.array(ratios) <= 1.25)),
        "worst": max(ratios),
        "median": median(ratios),
        "chosen": {plan: chosen.count(plan) for plan in sorted(set(chosen))},
    }


def bars(result: dict[str, Any]) -> list[Bar]:
    name = result["dataset"]
    lines = []
    recall_min, over_forced = 1.0, 0.0
    for cell_name, found in result["cells"].items():
        systems = found["systems"]
        own = systems[OURS]
        recall_min = min(recall_min, own["recall"])
        forced = [systems[f"{OURS} {plan}"] for plan in PLANS]
        fastest = max(run["queries_per_second"] for run in forced if run["recall"] >= 0.95)
        over_forced = max(over_forced, fastest / systems[f"{OURS} {AGAIN}"]["queries_per_second"])
        peers = {
            peer: run["queries_per_second"]
            for peer, run in systems.items()
            if not peer.startswith(OURS) and run["recall"] >= 0.95
        }
        if peers:
            best = max(peers, key=lambda peer: peers[peer])
            ratio = own["queries_per_second"] / peers[best]
            lines.append(Bar(f"{name}: {cell_name}: queries/s over {best}", ratio, "at least", 2.0))
    planner = result["planner"]
    return [
        Bar(f"{name}: least recall of a cell", recall_min, "at least", 0.95),
        *lines,
        Bar(f"{name}: worst cell's time over its fastest plan", over_forced, "at most", 1.2),
        Bar(f"{name}: planner within 25 % of the best plan", planner["within_25_percent"], "at least", 0.95),
        Bar(f"{name}: planner's worst work over the best plan", planner["worst"], "at most", 3.0),
        Bar(
            f"{name}: category and two ranges over {result['rows']} rows, ms",
            result["filter_ms"],
            "at most",
            1.0 if result["rows"] >= 1_000_000 else None,
        ),
    ]
