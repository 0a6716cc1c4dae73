"""Checks of the arithmetic, without peers, data or runner: `python test_report.py`."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np

from datasets import Dataset, exact_distances, rotated
from report import Bar, paired_ratio, table, write
from scoring import pareto_front, recall, speed_at


def test_speed_is_interpolated_on_the_front() -> None:
    points = [(0.90, 1000.0), (0.94, 500.0), (0.96, 400.0), (0.95, 100.0)]
    assert (0.95, 100.0) not in pareto_front(points)
    middle = speed_at(points, 0.95)
    assert math.isclose(middle.queries_per_second, math.sqrt(500.0 * 400.0)) and middle.bound == "interpolated"
    assert speed_at(points, 0.80).bound == "at least" and speed_at(points, 0.80).queries_per_second == 1000.0
    assert speed_at(points, 0.99).bound == "not reached" and speed_at(points, 0.99).queries_per_second == 0.0


def test_equal_distances_are_hits_whatever_the_row() -> None:
    truth = np.array([[1.0, 2.0, 2.0]])
    assert recall(np.array([[1.0, 2.0]]), truth, 2) == 1.0
    assert recall(np.array([[1.0, 2.1]]), truth, 2) == 0.5
    assert recall(np.array([[1.0, np.inf]]), truth, 2) == 0.5


def test_missing_and_repeated_ids_never_count() -> None:
    base = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]], dtype=np.float32)
    data = Dataset("small", "l2", base, base[:1], exact_distances(base, base[:1], "l2"), "")
    assert data.truth.tolist() == [[0.0, 25.0, 100.0]]
    assert data.distances(np.array([[1, 0, 1, -1]])).tolist() == [[25.0, 0.0, np.inf, np.inf]]


def test_rotation_keeps_distances_and_changes_numbers() -> None:
    base = np.random.default_rng(1).random((300, 24), dtype=np.float32)
    for metric in ("l2", "cosine"):
        data = Dataset("small", metric, base[:290], base[290:], exact_distances(base[:290], base[290:], metric), "")
        turned = rotated(data, seed=5)
        assert np.allclose(turned.truth, data.truth, rtol=1e-4, atol=1e-6)
        assert not np.allclose(turned.base, data.base, atol=0.1)


def test_ratios_are_of_pairs_and_bars_judge_them() -> None:
    assert paired_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 2.0]) == 2.0
    assert paired_ratio([2.0, 9.0], [0.0, 3.0]) is None
    assert Bar("speed", 1.3, "at least", 1.25).met is True
    assert Bar("time", 0.9, "at most", 0.8).met is False
    assert Bar("unmeasured", None, "at least", 1.0).met is False
    assert Bar("informs", 0.1, "at least", None).met is None
    assert "MISSED" in table([Bar("time", 0.9, "at most", 0.8)])


def test_results_are_written_with_their_bars() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "small", {"cpu": "x"}, {"value": 1.23456789}, [Bar("a", 2.0, "at least", 1.0)])
        content = json.loads(path.read_text())
    assert content["value"] == 1.23457 and content["bars"][0]["met"] is True and content["environment"] == {"cpu": "x"}


if __name__ == "__main__":
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        test()
        print(f"ok {name}")
