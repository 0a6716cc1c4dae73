"""Threads, forks and the life of a client in its process."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import vecdb
from vecdb import (
    AsyncVecDBClient,
    CorruptError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    VecDBClient,
    VecDBError,
)


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


def in_a_fork(work: Callable[[], object]) -> tuple[str, str]:
    """Kind and message of the error that ``work`` ends with in a process forked from this one."""
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def child() -> None:
        try:
            work()
        except VecDBError as error:
            answers.put((error.kind, str(error)))
        else:
            answers.put(("none", ""))

    process = context.Process(target=child)
    process.start()
    try:
        outcome: tuple[str, str] = answers.get(timeout=20)
        process.join(20)
        assert process.exitcode == 0
        return outcome
    finally:
        process.kill()


def test_a_forked_process_is_told(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 1)
    many = ({"id": i, "vector": [1.0]} for i in range(10))
    for call in (
        lambda: client.count(name),
        lambda: client.search(name, [1.0]),
        lambda: client.upsert(name, many, batch_size=1),
        client.close,
    ):
        kind, message = in_a_fork(call)
        assert kind == "unavailable" and "fork" in message
    # What the child's end did must not have touched the parent's database.
    client.upsert(name, [{"id": 1, "vector": [1.0]}])
    assert client.count(name) == 1


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_a_forked_process_is_told_by_an_async_client(
    place: str, tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    if place == "embedded":
        client = AsyncVecDBClient(path=tmp_path / "data")
    else:
        client = AsyncVecDBClient(request.getfixturevalue("server").address)

    async def begin() -> None:
        await client.create_collection(name, 1)
        await client.upsert(name, [{"id": 1, "vector": [1.0]}])

    # Now it has threads, which the child has not.
    asyncio.run(begin())
    for call in (lambda: client.count(name), client.close):
        kind, message = in_a_fork(lambda call=call: asyncio.run(call()))  # type: ignore[misc]
        assert kind == "unavailable" and "fork" in message
    assert asyncio.run(client.count(name)) == 1
    asyncio.run(client.close())


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


@pytest.mark.parametrize("call", ["client.search_batch('c', rows)", "client.upsert('c', endless(), batch_size=50)"])
def test_ctrl_c_ends_a_long_call(call: str, tmp_path: Path) -> None:
    program = f"""
import os, signal, threading, time
import numpy as np
from vecdb import VecDBClient

def endless():
    while True:
        yield {{"id": 1, "vector": rows[0]}}

client = VecDBClient(path={str(tmp_path / "data")!r}, threads=1)
client.create_collection("c", 512, "l1", "flat", durability="none")
rows = np.random.default_rng(1).standard_normal((20_000, 512)).astype(np.float32)
client.upsert("c", rows, ids=range(20_000))
# Where the tests run in the background of a shell, the signal comes ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    {call}
except KeyboardInterrupt:
    print(time.monotonic() - begun)
print(client.count("c"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    seconds, count = done.stdout.split() or pytest.fail(done.stderr)
    # The batch of searches takes minutes.
    assert 0.2 < float(seconds) < 3.0
    assert count == "20000"


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


def test_closing_waits_for_calls_under_way(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 256, "l2", "flat", durability="none")
    rows = np.zeros((10_000, 256), dtype=np.float32)
    begun = threading.Event()
    outcomes: list[object] = []

    def write() -> None:
        try:
            outcomes.append(client.upsert(name, rows, ids=range(10_000), batch_size=10_000).inserted)
        except UnavailableError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=lambda: (begun.set(), write()))
    thread.start()
    begun.wait(10)
    client.close()
    thread.join(20)
    assert len(outcomes) == 1
    assert outcomes[0] == 10_000 or "closed" in str(outcomes[0])


def test_closing_ends_an_upsert_between_two_batches(connect: Callable[[], VecDBClient], name: str) -> None:
    client = connect()
    client.create_collection(name, 2, "l2", "flat", durability="none")
    taken, told, outcomes = [0], [0], []
    under_way = threading.Event()

    def points() -> Iterator[dict[str, object]]:
        while taken[0] < 30_000:
            taken[0] += 1
            yield {"id": taken[0], "vector": [taken[0], 0]}

    def progress(done: int, of: int | None) -> None:
        told[0] = done
        under_way.set()

    def write() -> None:
        try:
            outcomes.append(client.upsert(name, points(), batch_size=10, progress=progress).inserted)
        except UnavailableError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    assert under_way.wait(20)
    client.close()
    thread.join(20)
    assert len(outcomes) == 1 and "closed" in str(outcomes[0])
    assert taken[0] < 30_000
    # What it was told of is what there is.
    assert connect().count(name) == told[0]


def test_an_upsert_may_be_fed_by_the_thread_that_closes(client: VecDBClient, name: str) -> None:
    """Closing waits for the database, never for what Python code waits for."""
    client.create_collection(name, 2, "l2")
    feed: queue.Queue[dict[str, object] | None] = queue.Queue()
    outcomes: list[str] = []

    def write() -> None:
        try:
            client.upsert(name, iter(feed.get, None), batch_size=1)
        except UnavailableError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    for i in range(20):
        feed.put({"id": i, "vector": [i, 0]})
    while not feed.empty():
        time.sleep(0.01)
    client.close()
    feed.put({"id": 20, "vector": [0, 0]})
    feed.put(None)
    thread.join(20)
    assert len(outcomes) == 1 and "closed" in outcomes[0]


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


def test_damage_in_the_log_stops_or_is_skipped_and_counted(tmp_path: Path) -> None:
    with VecDBClient(path=tmp_path / "data", threads=1) as client:
        client.create_collection("c", 2, metric="l2")
        for number in range(5):
            client.upsert("c", [{"id": number, "vector": [float(number), 1.0]}])
        # As a power loss would leave it: nothing was flushed yet.
        shutil.copytree(tmp_path / "data", tmp_path / "left")
    (log,) = (tmp_path / "left" / "wal").glob("*.wal")
    damaged = bytearray(log.read_bytes())
    damaged[120] ^= 1
    log.write_bytes(damaged)
    with pytest.raises(CorruptError, match=r"damaged at byte 80.*on_corruption"):
        VecDBClient(path=tmp_path / "left")
    with pytest.raises(InvalidArgumentError, match="stop.*skip"):
        VecDBClient(path=tmp_path / "left", on_corruption="pass")
    with VecDBClient(path=tmp_path / "left", on_corruption="skip") as client:
        assert client.status().recovery["skipped"] == 1
        assert client.count("c") == 4
    with VecDBClient(path=tmp_path / "left") as client:
        assert client.status().recovery["skipped"] == 0
        assert client.verify(repair=True).problems == []
        assert client.count("c") == 4
