"""Quantizers alone: product codes against faiss IndexPQ, and the other codes against plain product codes of as many
bytes, by the recall of codes without refinement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import datasets
from cases import Result, Settings, load_into
from cases.sweep import BUILD_THREADS, K, facts
from datasets import Dataset
from peers import FaissPqPeer
from report import Bar, paired_ratio
from runner_client import RunnerClient
from scoring import recall

# Dimensions per byte of the product codes that meet the peer: 8 bytes of 128.
DIMS_PER_BYTE = 16
OPQ_BYTES = [8, 16, 32]
RABITQ_BITS = [1, 2, 4]
# Queries, each compared with all codes.
QUERIES = 500


def run(settings: Settings) -> dict[str, Result]:
    readers: dict[str, Callable[[], Dataset]] = {
        "fashion-mnist": lambda: datasets.fashion_mnist(settings.limit),
        "debian-packages": lambda: datasets.debian_packages(settings.limit),
        "generated-128": lambda: datasets.generated(settings.limit or 1_000_000, settings.seed),
    }
    return {
        f"quantizers-{name}": compare(settings, read()) for name, read in readers.items() if name in settings.datasets
    }


def compare(settings: Settings, dataset: Dataset) -> Result:
    dataset = replace(dataset, queries=dataset.queries[:QUERIES], truth=dataset.truth[:QUERIES])
    with settings.start_runner() as client:
        about = client.call("about").answer
        load_into(client, dataset)
        rounds = [against_faiss(client, dataset, settings.seed + number) for number in range(settings.rounds)]
        print(f"  {dataset.name}: faiss compared", flush=True)
        pairs = equal_bytes(client, dataset, settings.seed)
    result = {
        **facts(about, dataset),
        "pq_rounds": rounds,
        "pq": {
            "recall_difference": median(r["ours"]["recall"] - r["faiss"]["recall"] for r in rounds),
            **{
                f"{what}_over_faiss": paired_ratio(*([r[side][what] for r in rounds] for side in ("ours", "faiss")))
                for what in ("train_seconds", "encode_seconds", "search_seconds")
            },
        },
        "equal_bytes": pairs,
    }
    return result, bars(result)


def ours(client: RunnerClient, dataset: Dataset, code: str, seed: int) -> dict[str, Any]:
    trained = client.call("quantizer_train", code=code, threads=BUILD_THREADS, seed=seed)
    encoded = client.call("quantizer_encode", threads=BUILD_THREADS)
    searched, ids = client.search("quantizer_search", k=K)
    return {
        "bytes": trained.answer["bytes_each"],
        "recall": recall(dataset.distances(ids), dataset.truth, K),
        "train_seconds": trained.seconds,
        "encode_seconds": encoded.seconds,
        "search_seconds": searched.seconds,
    }


def against_faiss(client: RunnerClient, dataset: Dataset, seed: int) -> dict[str, Any]:
    segments = dataset.base.shape[1] // DIMS_PER_BYTE
    peer = FaissPqPeer(dataset.metric, segments)
    train = peer.train(dataset.base, BUILD_THREADS, seed)
    encode = peer.encode(dataset.base)
    ids, search = peer.search(dataset.queries, K)
    return {
        "ours": ours(client, dataset, f"pq{segments}x8", seed),
        "faiss": {
            "bytes": segments,
            "recall": recall(dataset.distances(ids), dataset.truth, K),
            "train_seconds": train.seconds,
            "encode_seconds": encode.seconds,
            "search_seconds": search.seconds,
        },
    }


def equal_bytes(client: RunnerClient, dataset: Dataset, seed: int) -> list[dict[str, Any]]:
    """Each code, and plain product codes of eight bits a segment and no fewer bytes."""
    codes = [f"opq{count}x8" for count in OPQ_BYTES] + [f"rabitq{bits}" for bits in RABITQ_BITS]
    pairs, plain = [], {}
    for code in codes:
        found = ours(client, dataset, code, seed)
        segments = min(found["bytes"], dataset.base.shape[1])
        if segments not in plain:
            plain[segments] = ours(client, dataset, f"pq{segments}x8", seed)
        pairs.append({"code": code, "found": found, "plain": {"code": f"pq{segments}x8", **plain[segments]}})
        print(f"  {dataset.name}: {code} {found['recall']:.4f} pq {plain[segments]['recall']:.4f}", flush=True)
    return pairs


def bars(result: dict[str, Any]) -> list[Bar]:
    name, pq = result["dataset"], result["pq"]
    code = f"pq{result['dim'] // DIMS_PER_BYTE}x8"
    lines = [
        Bar(f"{name}: {code} - faiss IndexPQ, recall@10", pq["recall_difference"], "at least", -0.005),
        Bar(f"{name}: {code} / faiss IndexPQ, training time", pq["train_seconds_over_faiss"], "at most", 1.0),
        Bar(f"{name}: {code} / faiss IndexPQ, coding time", pq["encode_seconds_over_faiss"], "at most", None),
        Bar(f"{name}: {code} / faiss IndexPQ, search time", pq["search_seconds_over_faiss"], "at most", 1.0),
    ]
    for pair in result["equal_bytes"]:
        gain = pair["found"]["recall"] - pair["plain"]["recall"]
        lines.append(Bar(f"{name}: {pair['code']} - {pair['plain']['code']}, recall@10", gain, "at least", 1e-9))
    return lines
