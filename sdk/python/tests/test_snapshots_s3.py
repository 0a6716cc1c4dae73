"""Snapshots in object storage: a local server that speaks S3."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from server import Server
from vecdb import AlreadyExistsError, NotFoundError, VecDBClient

LOCATION = "s3://backups/vecdb"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An empty bucket, which the environment of this process leads to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        made = boto3.resource("s3").create_bucket(Bucket="backups")
        yield made
        made.objects.all().delete()
        made.delete()
    finally:
        server.stop()


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_a_snapshot_goes_to_s3_and_comes_back(place: str, tmp_path: Path, bucket: object) -> None:
    rows = np.random.default_rng(3).standard_normal((3000, 32)).astype(np.float32)
    if place == "embedded":
        check(VecDBClient(path=tmp_path / "data", snapshots=LOCATION), rows, bucket)
    else:
        with Server(tmp_path, f"snapshots.location={LOCATION}", environment=dict(os.environ)) as server:
            check(VecDBClient(server.address), rows, bucket)


def check(client: VecDBClient, rows: np.ndarray, bucket: object) -> None:
    with client:
        client.create_collection("rows", 32, "l2")
        client.upsert("rows", rows, ids=range(len(rows)), metadata=[{"n": i} for i in range(len(rows))])
        expected = client.search("rows", rows[7], limit=5, params={"exact": True})
        made = client.create_snapshot("nightly")
        assert made.bytes > rows.nbytes
        keys = [item.key for item in bucket.objects.all()]  # type: ignore[attr-defined]
        assert any(key.endswith("nightly/SNAPSHOT.json") for key in keys)
        with pytest.raises(AlreadyExistsError):
            client.create_snapshot("nightly")
        client.drop_collection("rows")
        assert [summary.points for summary in client.restore_snapshot("nightly")] == [3000]
        assert client.search("rows", rows[7], limit=5, params={"exact": True}) == expected
        assert client.verify().problems == []
        client.delete_snapshot("nightly")
        assert client.list_snapshots() == []
        with pytest.raises(NotFoundError):
            client.restore_snapshot("nightly")


def keys(bucket: object, prefix: str) -> list[str]:
    return [entry.key for entry in bucket.objects.filter(Prefix=prefix)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_the_log_is_archived_to_s3_and_leads_to_any_point(place: str, tmp_path: Path, bucket: object) -> None:
    log = "s3://backups/log"
    with contextlib.ExitStack() as stack:
        if place == "embedded":
            client = VecDBClient(path=tmp_path / "data", snapshots=LOCATION, archive=log)
        else:
            settings = (f"snapshots.location={LOCATION}", f"storage.archive={log}", "storage.archive_interval_seconds=1")
            server = stack.enter_context(Server(tmp_path, *settings, environment=dict(os.environ)))
            client = VecDBClient(server.address)
        stack.enter_context(client)
        client.create_collection("c", 2)
        client.create_snapshot("base")
        first = client.upsert("c", ids=[1], vectors=[[1.0, 0.0]])
        second = client.upsert("c", ids=[2], vectors=[[0.0, 1.0]])
        for name, position, points in (("one", first.position, 1), ("two", second.position, 2)):
            (restored,) = client.restore_snapshot("base", "c", name, to_sequence=position)
            assert (restored.name, restored.points) == (name, points)
        status = client.status().archive
        assert status["location"] == log and status["last_error"] is None
        report = client.verify_archive()
        assert report.problems == [] and report.ranges[0]["last"] >= second.position
    written = keys(bucket, "log/")
    assert "log/ARCHIVE" in written
    assert any(key.endswith(".piece") for key in written) and any(key.endswith(".wal") for key in written)
    # From the store alone.
    with VecDBClient(path=tmp_path / "other", snapshots=LOCATION) as client:
        (restored,) = client.restore_snapshot("base", "c", to_latest=True, archive=log)
        assert restored.points == 2


def test_the_bucket_has_to_exist_and_stays_with_the_database(tmp_path: Path, bucket: object) -> None:
    with VecDBClient(path=tmp_path / "data", archive="s3://backups/log") as client:
        client.create_collection("c", 2)
    with pytest.raises(NotFoundError):
        VecDBClient(path=tmp_path / "more", archive="s3://missing/log")
    with VecDBClient(path=tmp_path / "data") as client:
        assert client.status().archive["location"] == "s3://backups/log"
