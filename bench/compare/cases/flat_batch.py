"""Exact search of 1,000 queries at once against faiss IndexFlatL2."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings, load_into
from peers import FaissFlatPeer, versions
from report import Bar, paired_ratio

QUERIES = 1_000
K = 10
# faiss computes |x|^2 - 2xy + |y|^2 in float32: where it swaps two rows, they are this near to each other.
RELATIVE_TOLERANCE = 1e-5


def run(settings: Settings) -> dict[str, Result]:
    dataset = datasets.fashion_mnist(settings.limit)
    queries = np.ascontiguousarray(dataset.queries[:QUERIES])
    peer = FaissFlatPeer(dataset.base)
    result: dict[str, Any] = {"dataset": dataset.name, "rows": len(dataset.base), "queries": QUERIES, "k": K}
    result["versions"] = versions()
    bars = []
    with settings.start_runner() as client:
        result["runner"] = client.call("about").answer
        load_into(client, dataset, QUERIES)
        client.call("flat_build")
        for threads in (1, 2):
            rounds = []
            for number in range(settings.rounds + 1):
                ours, our_ids = client.search("flat_search", k=K, threads=threads)
                their_ids, theirs = peer.search(queries, K, threads)
                if number == 0:  # the warm-up, which is compared
                    difference = largest_difference(dataset, our_ids, their_ids)
                    assert difference <= RELATIVE_TOLERANCE, f"results differ from faiss by {difference}"
                    continue
                rounds.append({
                    "ours_seconds": ours.seconds,
                    "ours_cpu_seconds": ours.cpu_seconds,
                    "peer_seconds": theirs.seconds,
                    "peer_cpu_seconds": theirs.cpu_seconds,
                })
            ratio = paired_ratio([r["peer_seconds"] for r in rounds], [r["ours_seconds"] for r in rounds])
            seconds = {side: median(r[f"{side}_seconds"] for r in rounds) for side in ("ours", "peer")}
            result[f"threads_{threads}"] = {
                "rounds": rounds,
                "ours_queries_per_second": QUERIES / seconds["ours"],
                "peer_queries_per_second": QUERIES / seconds["peer"],
                "speed_ratio": ratio,
                "largest_relative_difference": difference,
            }
            bars.append(Bar(f"batch of {QUERIES}, ours / faiss flat, {threads} thread(s)", ratio, "at least", 1.0))
    return {"flat_batch": (result, bars)}


def largest_difference(dataset: datasets.Dataset, ours: np.ndarray, theirs: np.ndarray) -> float:
    """How much farther our i-th result is from the query than theirs or the other way round, as a share."""
    a, b = np.sort(dataset.distances(ours), axis=1), np.sort(dataset.distances(theirs), axis=1)
    assert np.isfinite(a).all(), "fewer than k results, or one twice"
    return float((np.abs(a - b) / np.maximum(b, 1e-30)).max())
