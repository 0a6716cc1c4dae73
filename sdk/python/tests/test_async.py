"""The same client for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from vecdb import AsyncVecDBClient, InvalidArgumentError, NotFoundError, VecDBClient, VecDBError


def test_every_call_of_the_client_is_there() -> None:
    def calls(of: type) -> dict[str, list[str]]:
        return {
            name: [p for p in inspect.signature(call).parameters if p != "self"]
            for name, call in vars(of).items()
            if inspect.isfunction(call) and not name.startswith("_")
        }

    assert calls(AsyncVecDBClient) == calls(VecDBClient)
    parameters = list(inspect.signature(VecDBClient).parameters)
    assert list(inspect.signature(AsyncVecDBClient).parameters) == [*parameters, "concurrency"]


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_calls_run_side_by_side(place: str, tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    async def work() -> None:
        if place == "embedded":
            made = AsyncVecDBClient(path=tmp_path / "data")
        else:
            made = AsyncVecDBClient(request.getfixturevalue("server").address)
        async with made as client:
            await client.create_collection(name, 2, "l2", durability="none")
            points = ([{"id": i, "vector": [i, 0.0], "metadata": {"n": i}}] for i in range(40))
            await asyncio.gather(*(client.upsert(name, point) for point in points))
            answers = await asyncio.gather(*(client.search(name, [i, 0.0], limit=1) for i in range(40)))
            assert [answer.ids for answer in answers] == [[i] for i in range(40)]
            assert sorted([record.id async for record in client.scroll(name, page_size=7)]) == list(range(40))
            batch = await client.search_batch(name, [[1, 0], [2, 0]], limit=1)
            assert [results.ids for results in batch] == [[1], [2]]
            assert (await client.delete(name, filter={"n": {"$lt": 10}})).deleted == 10
            assert await client.count(name) == 30
            assert await client.query(f'SELECT COUNT(*) FROM "{name}" WHERE n < $1', [20]) == [{"count": 10}]
            assert (await client.get(name, [0, 10])) == [None, {"id": 10, "metadata": {"n": 10}}]
            await client.update_metadata(name, [10], {"n": 11})
            assert await client.drop_field_index(name, "n")
            assert await client.create_field_index(name, "n", timeout=60)
            await client.flush(name)
            await client.compact(name)
            assert (await client.verify(name, repair=True)).problems == []
            ordered = [record.id async for record in client.scroll(name, order_by="n", descending=True)]
            assert len(ordered) == 30
            facets = await client.facets(name, "n", limit=3)
            assert len(facets) == 3
            grouped = await client.search(name, [3, 0], limit=2, group_by="n")
            assert len(grouped.groups) == 2
            assert len(await client.recommend(name, [ordered[0]], limit=5)) == 5
            with pytest.raises(InvalidArgumentError, match="at least 300"):
                await client.advise(name, target_recall=0.9)
            assert (await client.get_collection(name)).points == 30
            assert name in [summary.name for summary in await client.list_collections()]
            assert (await client.status()).points >= 30
            await client.drop_collection(name)
            with pytest.raises(NotFoundError):
                await client.count(name)
        assert client.closed
        with pytest.raises(VecDBError, match="closed"):
            await client.count(name)
        await client.close()

    asyncio.run(asyncio.wait_for(work(), 30))


def test_the_loop_is_free_while_a_call_works(tmp_path: Path) -> None:
    async def work() -> int:
        ticks = 0
        async with AsyncVecDBClient(path=tmp_path / "data") as client:
            await client.create_collection("c", 64, "l2")
            task = asyncio.create_task(
                client.upsert("c", [[float(i)] * 64 for i in range(5000)], ids=range(5000), batch_size=500)
            )
            while not task.done():
                ticks += 1
                await asyncio.sleep(0.001)
            assert (await task).inserted == 5000
        return ticks

    assert asyncio.run(asyncio.wait_for(work(), 30)) > 5


def test_a_task_that_is_cancelled_ends_its_search(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((20_000, 512)).astype(np.float32)

    async def work() -> float:
        client = AsyncVecDBClient(path=tmp_path / "data")
        await client.create_collection("c", 512, "l1", "flat", durability="none")
        await client.upsert("c", rows, ids=range(len(rows)))
        begun = time.monotonic()
        await client.search_batch("c", rows[:50])
        for_fifty = time.monotonic() - begun
        task = asyncio.create_task(client.search_batch("c", rows[:5000]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        begun = time.monotonic()
        # Closing waits for the calls under way: for the search, had it not ended.
        await client.close()
        return (time.monotonic() - begun) / for_fifty

    # A hundred times as long, were it not ended; the rest is what closing itself takes.
    assert asyncio.run(asyncio.wait_for(work(), 120)) < 30


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_a_task_that_is_cancelled_ends_its_bulk_load(
    place: str, tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    last = 200_000

    async def work() -> None:
        taken, under_way = 0, asyncio.Event()
        loop = asyncio.get_running_loop()

        def points() -> Iterator[dict[str, object]]:
            nonlocal taken
            while taken < last:
                taken += 1
                yield {"id": taken, "vector": [taken, 0]}

        if place == "embedded":
            client = AsyncVecDBClient(path=tmp_path / "data")
        else:
            client = AsyncVecDBClient(request.getfixturevalue("server").address)
        await client.create_collection(name, 2, "l2", "flat", durability="none")
        begin = lambda done, of: loop.call_soon_threadsafe(under_way.set)  # noqa: E731
        task = asyncio.create_task(client.upsert(name, points(), batch_size=10, progress=begin))
        await under_way.wait()
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()
        assert time.monotonic() - begun < 5
        # At most a batch was begun when the load was stopped.
        at_close = taken
        await asyncio.sleep(0.3)
        assert taken <= at_close + 10
        assert taken < last

    asyncio.run(asyncio.wait_for(work(), 60))
