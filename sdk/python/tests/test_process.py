"""Threads, forks, the interpreter lock and the life of a client in its process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import vecdb
from vecdb import NotFoundError, UnavailableError, VecDBClient, VecDBError


def test_threads_write_and_read_at_once(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 4, "l2", durability="none")

    def work(thread: int) -> int:
        for i in range(50):
            key = thread * 1000 + i
            client.upsert(name, [{"id": key, "vector": [key, 0, 0, 0], "metadata": {"thread": thread}}])
            assert client.search(name, [key, 0, 0, 0], limit=1).ids == [key]
        return client.count(name, {"thread": thread})

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [50] * 8
    assert client.count(name) == 400


def test_the_interpreter_runs_on_while_a_search_works(embedded: VecDBClient) -> None:
    """A flat search of many rows takes milliseconds; meanwhile this thread must be able to count."""
    embedded.create_collection("rows", 512, "l1", "flat", durability="none")
    rows = np.random.default_rng(1).standard_normal((20_000, 512)).astype(np.float32)
    embedded.upsert("rows", rows, ids=range(len(rows)))
    searching = threading.Event()
    latencies: list[float] = []

    def search() -> None:
        searching.set()
        for i in range(20):
            latencies.append(embedded.search("rows", rows[i], params={"exact": True}).latency_ms)

    thread = threading.Thread(target=search)
    thread.start()
    searching.wait(10)
    longest, last = 0.0, time.perf_counter()
    while thread.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join(10)
    total = sum(latencies) / 1000
    # With the lock held through a search, this thread would stand still for nearly all of the time.
    assert longest < total / 3, f"stood still for {longest:.3f} s of {total:.3f} s"


def test_a_forked_process_is_told(embedded: VecDBClient) -> None:
    embedded.create_collection("one", 1)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def child() -> None:
        try:
            embedded.count("one")
        except VecDBError as error:
            queue.put((error.kind, str(error)))
        else:
            queue.put(("none", ""))

    process = context.Process(target=child)
    process.start()
    kind, message = queue.get(timeout=20)
    process.join(20)
    assert process.exitcode == 0
    assert kind == "unavailable" and "fork" in message
    # What the child's end did must not have touched the parent's database.
    embedded.upsert("one", [{"id": 1, "vector": [1.0]}])
    assert embedded.count("one") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_that_ends_in_the_ordinary_way_does_not_hang(tmp_path: Path) -> None:
    program = f"""
import os, sys
from vecdb import VecDBClient
client = VecDBClient(path={str(tmp_path / "data")!r})
client.create_collection("c", 1)
child = os.fork()
if child == 0:
    del client
    sys.exit(0)
_, status = os.waitpid(child, 0)
client.upsert("c", [{{"id": 1, "vector": [1.0]}}])
print(status, client.count("c"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["0", "1"], done.stderr


def test_a_folder_belongs_to_one_client(tmp_path: Path) -> None:
    with VecDBClient(path=tmp_path / "data"), pytest.raises(UnavailableError, match="LOCK|open|lock"):
        VecDBClient(path=tmp_path / "data")
    VecDBClient(path=tmp_path / "data").close()


def test_a_client_that_nobody_holds_gives_its_folder_back(tmp_path: Path) -> None:
    client = VecDBClient(path=tmp_path / "data")
    client.create_collection("c", 1)
    client.upsert("c", [{"id": 1, "vector": [1.0]}])
    del client
    gc.collect()
    with VecDBClient(path=tmp_path / "data") as again:
        assert again.count("c") == 1
        assert again.status().recovery["replayed"] == 0


def test_what_was_not_closed_is_closed_at_exit(tmp_path: Path) -> None:
    program = f"""
from vecdb import VecDBClient
client = VecDBClient(path={str(tmp_path / "data")!r})
client.create_collection("c", 1)
client.upsert("c", [{{"id": 1, "vector": [1.0]}}])
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    with VecDBClient(path=tmp_path / "data") as client:
        assert client.count("c") == 1
        assert client.status().recovery["replayed"] == 0


def test_closing_waits_for_calls_under_way(embedded: VecDBClient) -> None:
    embedded.create_collection("c", 256, "l2", "flat", durability="none")
    rows = np.zeros((10_000, 256), dtype=np.float32)
    outcomes: list[object] = []

    def write() -> None:
        try:
            outcomes.append(embedded.upsert("c", rows, ids=range(10_000), batch_size=500).inserted)
        except UnavailableError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    embedded.close()
    thread.join(20)
    assert len(outcomes) == 1
    assert outcomes[0] == 10_000 or "closed" in str(outcomes[0])


def test_a_folder_that_is_not_there_is_not_made_on_request(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no database"):
        VecDBClient(path=tmp_path / "data", create=False)


def test_a_client_needs_a_place() -> None:
    for arguments in ({}, {"url": "localhost:1", "path": "x"}, {"path": "x", "api_key": "k"}, {"url": "a:1", "snapshots": "b"}):
        with pytest.raises(vecdb.InvalidArgumentError):
            VecDBClient(**arguments)  # type: ignore[arg-type]


def test_errors_and_results_can_be_pickled(embedded: VecDBClient) -> None:
    error = vecdb.ResourceExhaustedError("too much", 1.5)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.retry_after, copy.kind) == (
        vecdb.ResourceExhaustedError,
        "too much",
        1.5,
        "resource_exhausted",
    )
    embedded.create_collection("c", 1)
    embedded.upsert("c", [{"id": 1, "vector": [1.0], "metadata": {"a": 1}}])
    results = embedded.search("c", [1.0])
    copy = pickle.loads(pickle.dumps(results))
    assert copy == results and copy.searched_vectors == 1 and copy[0].id == 1
