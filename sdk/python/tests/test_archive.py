"""The archive of the log, and restores to a point of it."""

from __future__ import annotations

import asyncio
import datetime
import time
from pathlib import Path

import pytest

from vecdb import AsyncVecDBClient, InvalidArgumentError, NotFoundError, VecDBClient


def now() -> datetime.datetime:
    time.sleep(0.002)
    moment = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(0.002)
    return moment


def test_a_folder_goes_back_to_any_point_since_a_snapshot(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with VecDBClient(path=tmp_path / "data", snapshots=tmp_path / "snapshots", archive=archive) as client:
        client.create_collection("c", 2)
        client.create_snapshot("base")
        first = client.upsert("c", ids=[1], vectors=[[1.0, 0.0]])
        before = now()
        client.upsert("c", ids=[2], vectors=[[0.0, 1.0]])
        client.drop_collection("c")
        (snapshot,) = client.list_snapshots()
        (held,) = snapshot.collections
        assert (held["name"], held["points"]) == ("c", 0) and 0 < held["sequence"] < first.position
        made = client.restore_snapshot("base", to_sequence=first.position)
        (restored,) = made
        assert (restored.name, restored.points) == ("c", 1)
        assert made.sequence == first.position and made.time is not None and made.time < before
        status = client.status().archive
        assert status["location"] == str(archive) and status["last_error"] is None
        with pytest.raises(NotFoundError, match="covers the sequence numbers 1 to"):
            client.restore_snapshot("base", to_sequence=1_000_000)
        with pytest.raises(InvalidArgumentError, match="one of to_sequence, to_time and to_latest"):
            client.restore_snapshot("base", to_sequence=1, to_latest=True)
        with pytest.raises(InvalidArgumentError, match="no time zone"):
            client.restore_snapshot("base", to_time=datetime.datetime(2026, 1, 1))
        with pytest.raises(InvalidArgumentError, match="before the snapshot"):
            client.restore_snapshot("base", to_time=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
    # Elsewhere, from the folders alone, and without saying so again.
    with VecDBClient(path=tmp_path / "other", snapshots=tmp_path / "snapshots") as client:
        assert client.status().archive is None
        made = client.restore_snapshot("base", "c", "then", to_time=before, archive=archive)
        (restored,) = made
        assert (restored.name, restored.points) == ("then", 1)
        assert made.sequence == first.position
        report = client.verify_archive(archive)
        assert report.problems == [] and report.ranges[0]["first"] == 1
        assert report.ranges[0]["last"] > first.position and report.location == str(archive)
        with pytest.raises(InvalidArgumentError, match="name the archive"):
            client.verify_archive()
        plain = client.restore_snapshot("base")
        assert [summary.name for summary in plain] == ["c"] and (plain.sequence, plain.time) == (None, None)
    with VecDBClient(path=tmp_path / "data") as client:
        assert client.status().archive["location"] == str(archive)
    with VecDBClient(path=tmp_path / "data", archive="off") as client:
        assert client.status().archive is None


def test_the_async_client_restores_to_a_point_too(tmp_path: Path) -> None:
    async def life() -> None:
        client = AsyncVecDBClient(
            path=tmp_path / "data", snapshots=tmp_path / "snapshots", archive=tmp_path / "archive"
        )
        await client.create_collection("c", 2)
        await client.create_snapshot("base")
        await client.upsert("c", ids=[1], vectors=[[1.0, 0.0]])
        (restored,) = await client.restore_snapshot("base", "c", "again", to_latest=True)
        assert restored.points == 1
        await client.close()

    asyncio.run(life())
