"""Exact scan of one query on one thread against the speed at which the same memory can be read at all."""

from __future__ import annotations

from statistics import median

from cases import Result, Settings
from report import Bar, paired_ratio

DIM = 768
K = 10


def run(settings: Settings) -> dict[str, Result]:
    rounds = []
    with settings.start_runner() as client:
        about = client.call("about").answer
        filled = client.call("memory", gib=settings.gib, dim=DIM, seed=settings.seed).answer
        for _ in range(2):
            client.call("read_sum")
            client.call("scan", k=K)
        for _ in range(max(settings.rounds, 9)):
            read, scan = client.call("read_sum"), client.call("scan", k=K)
            assert scan.answer["bytes"] == read.answer["bytes"] == filled["bytes"]
            rounds.append({
                "read_sum_gb_per_second": read.answer["bytes"] / read.seconds / 1e9,
                "scan_gb_per_second": scan.answer["bytes"] / scan.seconds / 1e9,
            })
    scans = [r["scan_gb_per_second"] for r in rounds]
    reads = [r["read_sum_gb_per_second"] for r in rounds]
    ratio = paired_ratio(scans, reads)
    result = {
        "runner": about,
        "bytes": filled["bytes"],
        "dim": DIM,
        "threads": 1,
        "rounds": rounds,
        "scan_gb_per_second": median(scans),
        "read_sum_gb_per_second": median(reads),
        "ratio": ratio,
    }
    bars = [
        Bar("exact scan, GB/s", median(scans), "at least", None),
        Bar("reading the same memory, GB/s", median(reads), "at least", None),
        Bar("exact scan / read-sum, 1 thread", ratio, "at least", 0.85),
    ]
    return {"flat_scan": (result, bars)}
