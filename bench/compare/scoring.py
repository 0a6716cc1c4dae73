"""Recall by distance, and speed at equal recall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Distances that differ by less than this share of the k-th are equal: float32 engines round in their own ways.
TOLERANCE = 1e-6


def recall(found: np.ndarray, truth: np.ndarray, k: int) -> float:
    """The share of results at most as far as the k-th true neighbour. `found` are exact distances of (queries, k)
    results, infinite where there is none; by distance because many rows are equally far."""
    limit = truth[:, k - 1 : k]
    hits = found[:, :k] <= limit + np.abs(limit) * TOLERANCE + 1e-9
    return float(hits.mean())


@dataclass(frozen=True)
class AtRecall:
    """Queries per second at a recall. `bound` is "at least" where the cheapest setting already finds more, and
    "not reached" (with 0 queries per second) where no setting finds as much."""

    queries_per_second: float
    bound: str

    def to_json(self) -> dict[str, object]:
        return {"queries_per_second": self.queries_per_second, "bound": self.bound}


def pareto_front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (recall, queries per second) that no other point beats in both, by rising recall."""
    front: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front[::-1]


def speed_at(points: list[tuple[float, float]], target: float) -> AtRecall:
    """Interpolated between the neighbours on the front: logarithm of the speed, linear in the recall."""
    front = pareto_front(points)
    above = [point for point in front if point[0] >= target]
    below = [point for point in front if point[0] < target]
    if not above:
        return AtRecall(0.0, "not reached")
    if not below:
        return AtRecall(above[0][1], "at least")
    (low, fast), (high, slow) = below[-1], above[0]
    share = (target - low) / (high - low)
    return AtRecall(math.exp(math.log(fast) + share * (math.log(slow) - math.log(fast))), "interpolated")
