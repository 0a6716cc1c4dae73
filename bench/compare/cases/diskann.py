"""DiskANN on the disk against diskannpy: builds and searches under memory limits, reads past the page cache."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import datasets
from cases import Result, Settings
from cases.sweep import K, TARGETS
from datasets import REPOSITORY, Dataset
from report import Bar
from runner_client import RunnerClient, RunnerError
from scoring import recall, speed_at

# Of the paper's customary settings (R, L), those that a build of two threads ends within minutes.
R, L_BUILD = 32, 64
THREADS = 2
EFS = [10, 15, 20, 30, 40, 60, 80, 120, 200]
BEAM = 4
TARGET = 0.95
# Of the bytes of the vectors.
SEARCH_SHARE, BUILD_SHARE = 1 / 8, 1 / 2
PEER_BUILD_GIB = 8.0
# Stacks and buffers of a thread that searches.
SEARCH_BYTES = 3 << 20
PEER_PYTHON = REPOSITORY / "bench" / ".venv-diskann" / "bin" / "python"


def run(settings: Settings) -> dict[str, Result]:
    dataset = datasets.generated(settings.limit or 1_000_000, settings.seed)
    folder = settings.work / "diskann"
    folder.mkdir()
    base, queries = folder / "base.npy", folder / "queries.npy"
    np.save(base, dataset.base)
    np.save(queries, dataset.queries)
    vector_bytes = dataset.base.nbytes
    search_bytes, build_bytes = int(vector_bytes * SEARCH_SHARE), int(vector_bytes * BUILD_SHARE)
    built = {
        "vecdb": build_ours(settings, base, folder / "vecdb.idx", build_bytes),
        "diskannpy": build_peer(base, folder / "diskannpy", search_bytes),
    }
    print(f"  built: {built}", flush=True)
    rounds = [
        {
            "vecdb": search_ours(settings, dataset, folder / "vecdb.idx", queries, search_bytes),
            "diskannpy": search_peer(dataset, folder / "diskannpy", queries),
        }
        for _ in range(settings.rounds)
    ]
    device = device_latency(base)
    shutil.rmtree(folder)
    result = {
        "dataset": dataset.name,
        "note": dataset.note,
        "rows": len(dataset.base),
        "dim": dataset.base.shape[1],
        "parameters": {"r": R, "l_build": L_BUILD, "k": K, "threads": THREADS, "beam": BEAM, "seed": settings.seed},
        "vector_bytes": vector_bytes,
        "memory_limits": {"search": search_bytes, "build": build_bytes},
        "device_read_us": device,
        "built": built,
        "rounds": rounds,
    }
    return {"diskann": (result, bars(result))}


def build_ours(settings: Settings, base: Path, out: Path, limit: int) -> dict[str, Any]:
    """By the program that users have; wall and memory by the kernel."""
    program = settings.server.with_name("vecdb")
    if not program.is_file():
        raise RunnerError(f"{program} is missing: cargo build --release -p vecdb-cli --bin vecdb")
    command = [program, "diskann", "build", "--dataset", base, "--output", out, "--r", R, "--l-build", L_BUILD]
    command += ["--memory-limit", f"{limit >> 20}MiB", "--threads", THREADS, "--json"]
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RunnerError(f"{command} ended with {process.returncode}")
    return {
        "seconds": time.perf_counter() - start,
        "peak_bytes": usage.ru_maxrss * 1024,
        "file_bytes": out.stat().st_size,
        "told": json.loads(told),
    }


class PeerClient:
    """The peer's process."""

    def __init__(self) -> None:
        if not PEER_PYTHON.is_file():
            raise RunnerError(f"{PEER_PYTHON} is missing: bench/compare/run.sh diskann makes it")
        read, write = os.pipe()
        script = Path(__file__).resolve().parents[1] / "diskann_peer.py"
        self._process = subprocess.Popen(
            [PEER_PYTHON, script, str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            pass_fds=[write],
        )
        os.close(write)
        self._answers = os.fdopen(read, encoding="utf-8")
        self.peak_bytes = 0

    def __enter__(self) -> PeerClient:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.peak_bytes = usage.ru_maxrss * 1024
        self._answers.close()

    def call(self, command: str, **arguments: Any) -> tuple[dict[str, Any], float]:
        """The answer and the seconds until it came."""
        assert self._process.stdin
        start = time.perf_counter()
        self._process.stdin.write(json.dumps({"command": command, **arguments}, default=str) + "\n")
        self._process.stdin.flush()
        line = self._answers.readline()
        if not line:
            raise RunnerError(f"diskannpy ended during {command}")
        return json.loads(line), time.perf_counter() - start


def build_peer(base: Path, folder: Path, search_bytes: int) -> dict[str, Any]:
    """With all the memory it wants, so in one part: it is not held to the limit that ours keeps."""
    with PeerClient() as peer:
        limits = {"search_gib": search_bytes / 2**30, "build_gib": PEER_BUILD_GIB}
        answer, seconds = peer.call("build", base=base, folder=folder, r=R, l_build=L_BUILD, threads=THREADS, **limits)
    return {"seconds": seconds, "peak_bytes": peer.peak_bytes, "file_bytes": answer["bytes"]}


def search_ours(settings: Settings, dataset: Dataset, index: Path, queries: Path, limit: int) -> dict[str, Any]:
    """A process that never held the vectors. What the limit leaves beside codes and process is the cache of nodes."""
    drop_page_cache()
    searched = {}
    with settings.start_runner() as client:
        client.call("queries", path=queries)
        opened = {"path": index, "metric": dataset.metric, "rows": len(dataset.base), "io": "uring"}
        first = client.call("disk_open", **opened, cache_bytes=0).answer["about"]
        spare = limit - resident_bytes(client) - THREADS * SEARCH_BYTES
        answer = client.call("disk_open", **opened, cache_bytes=max(0, spare)).answer
        for ef in EFS:
            params = {"ef": ef, "beam_width": BEAM}
            timed, ids = client.search("disk_search", k=K, params=params, threads=THREADS)
            searched[ef] = {
                "recall": recall(dataset.distances(ids), dataset.truth, K),
                "queries_per_second": len(dataset.queries) / timed.seconds,
                **timed.answer,
            }
        peak = peak_bytes(client)
    return {"about": answer, "codes": first, "searched": searched, "peak_bytes": peak}


def resident_bytes(client: RunnerClient) -> int:
    return status_bytes(client.pid, "RssAnon")


def peak_bytes(client: RunnerClient) -> int:
    return status_bytes(client.pid, "VmHWM")


def status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RunnerError(f"/proc/{pid}/status says nothing of {field}")


def search_peer(dataset: Dataset, folder: Path, queries: Path) -> dict[str, Any]:
    drop_page_cache()
    searched = {}
    out = folder / "ids.npy"
    with PeerClient() as peer:
        # No cache: its own would hold vectors outside the limit.
        peer.call("open", folder=folder, cached=0, threads=THREADS)
        for complexity in EFS:
            arguments = {"k": K, "complexity": complexity, "threads": THREADS, "beam": BEAM}
            _, seconds = peer.call("search", queries=queries, out=out, **arguments)
            ids = np.load(out)
            searched[complexity] = {
                "recall": recall(dataset.distances(ids), dataset.truth, K),
                "queries_per_second": len(dataset.queries) / seconds,
            }
    return {"searched": searched, "peak_bytes": peer.peak_bytes}


def drop_page_cache() -> None:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError as error:
        print(f"  the page cache stays warm: {error}", file=sys.stderr)


def device_latency(path: Path) -> dict[str, float]:
    """Random direct reads of a page, one at a time."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    pages = path.stat().st_size // 4096
    places = np.random.default_rng(1).integers(0, pages, 2_000)
    times = []
    for place in places:
        start = time.perf_counter_ns()
        os.preadv(file, [buffer], int(place) * 4096)
        times.append((time.perf_counter_ns() - start) / 1e3)
    os.close(file)
    return {"p50": float(np.median(times)), "p99": float(np.quantile(times, 0.99))}


def bars(result: dict[str, Any]) -> list[Bar]:
    rounds, limits, built = result["rounds"], result["memory_limits"], result["built"]

    def speed(system: str, target: float) -> float:
        found = [
            speed_at([(s["recall"], s["queries_per_second"]) for s in r[system]["searched"].values()], target)
            for r in rounds
        ]
        return float(np.median([f.queries_per_second for f in found]))

    enough = [one for one in rounds[0]["vecdb"]["searched"].values() if one["recall"] >= TARGET]
    reads = min((one["reads_per_query"] for one in enough), default=None)
    peak = max(r["vecdb"]["peak_bytes"] for r in rounds)
    lines = [
        Bar("diskann: reads of 4 KiB per query at recall 0.95", reads, "at most", 25.0),
        Bar("diskann: peak memory of searches / limit", peak / limits["search"], "at most", 1.0),
        Bar("diskann: peak memory of the build / limit", built["vecdb"]["peak_bytes"] / limits["build"], "at most", 1.0),
        Bar("diskann / diskannpy, build time", built["vecdb"]["seconds"] / built["diskannpy"]["seconds"], "at most", 1.0),
    ]
    for target in TARGETS:
        ours, peer = speed("vecdb", target), speed("diskannpy", target)
        limit = 1.2 if target == TARGET else None
        lines.append(Bar(f"diskann / diskannpy, queries/s at recall {target:.2f}", ours / peer if peer else None, "at least", limit))
    return lines
