"""Time limits: of the client, of a call, and of calls that take as long as there is data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from server import Server
from vecdb import DeadlineExceededError, VecDBClient


@pytest.fixture(params=["embedded", "remote"])
def limited(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Iterator[Callable[[float], VecDBClient]]:
    """Makes clients with a time limit, of a database with a collection of a hundred points."""
    rows = np.random.default_rng(1).standard_normal((100, 4)).astype(np.float32)

    def connect(timeout: float | None) -> VecDBClient:
        if request.param == "embedded":
            return VecDBClient(path=tmp_path / "data", snapshots=tmp_path / "snapshots", timeout=timeout)
        return VecDBClient(request.getfixturevalue("server").address, timeout=timeout)

    with connect(None) as client:
        client.create_collection(name, 4, "l2")
        client.upsert(name, rows, ids=range(100))
    yield connect


def test_the_limit_of_the_client_holds_for_its_calls(limited: Callable[[float], VecDBClient], name: str) -> None:
    with limited(0.0) as client:
        for call in (
            lambda: client.count(name),
            lambda: client.search(name, [0.0] * 4),
            lambda: client.search_batch(name, [[0.0] * 4]),
            lambda: client.get(name, [1]),
            lambda: list(client.scroll(name)),
            lambda: client.delete(name, [1]),
            lambda: client.update_metadata(name, [1], {"a": 1}),
            lambda: client.upsert(name, [{"id": 1, "vector": [0.0] * 4}]),
        ):
            with pytest.raises(DeadlineExceededError):
                call()
        # A call may say otherwise.
        assert client.count(name, timeout=20.0) == 100
        assert client.search(name, [0.0] * 4, limit=1, timeout=20.0).searched_vectors > 0


def test_it_does_not_hold_for_calls_that_take_as_long_as_there_is_data(
    limited: Callable[[float], VecDBClient], name: str
) -> None:
    with limited(0.0) as client:
        client.flush(name)
        client.compact(name)
        assert client.verify(name).problems == []
        client.create_snapshot(f"of-{name}", [name])
        restored = client.restore_snapshot(f"of-{name}", name, restore_as=f"{name}-again")
        assert [summary.points for summary in restored] == [100]
        with pytest.raises(DeadlineExceededError):
            client.restore_snapshot(f"of-{name}", name, restore_as=f"{name}-late", timeout=0.0)
        client.delete_snapshot(f"of-{name}")


def points(count: int, pause: float) -> Iterator[dict[str, object]]:
    for i in range(count):
        time.sleep(pause)
        yield {"id": i, "vector": [float(i)] * 4}


def test_an_upsert_of_many_batches_may_take_longer_than_one_call(limited: Callable[[float], VecDBClient], name: str) -> None:
    with limited(2.0) as client:
        begun = time.monotonic()
        # More than two seconds of making points; no batch takes so long.
        assert client.upsert(name, points(44, 0.05), batch_size=4).updated == 44
        assert time.monotonic() - begun > 2.0


def test_the_limit_of_an_upsert_is_one_for_all_its_batches(limited: Callable[[float], VecDBClient], name: str) -> None:
    with limited(30.0) as client:
        begun = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            client.upsert(name, points(300, 0.02), batch_size=2, timeout=0.5)
        assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize("limits", [{}, {"timeout": 30.0}], ids=["none", "of the call"])
def test_a_limit_leaves_several_batches_under_way(server: Server, name: str, limits: dict[str, float]) -> None:
    with VecDBClient(server.address, timeout=30.0) as client:
        client.create_collection(name, 4, "l2")
        taken = [0]
        taken_at_first: list[int] = []

        def counted() -> Iterator[dict[str, object]]:
            for point in points(100, 0.0):
                taken[0] += 1
                yield point

        def progress(done: int, of: int | None) -> None:
            taken_at_first.append(taken[0])

        assert client.upsert(name, counted(), batch_size=5, progress=progress, **limits).inserted == 100
        # One by one it would be two batches: that which was answered and the one that was made meanwhile.
        assert taken_at_first[0] >= 40
