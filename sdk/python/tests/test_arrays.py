"""numpy, pandas and Arrow, in and out."""

from __future__ import annotations

import array
import datetime
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from vecdb import InvalidArgumentError, VecDBClient, to_arrow, to_pandas


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((500, 16)).astype(np.float32)


@pytest.fixture
def loaded(client: VecDBClient, name: str, rows: np.ndarray) -> str:
    client.create_collection(name, 16, "l2", durability="none")
    written = client.upsert(name, rows, ids=np.arange(500), metadata=[{"n": i, "even": i % 2 == 0} for i in range(500)])
    assert written.inserted == 500
    return name


def test_arrays_come_back_as_they_went_in(client: VecDBClient, loaded: str, rows: np.ndarray) -> None:
    back = {record.id: record.vector for record in client.scroll(loaded, with_vector=True)}
    assert np.array_equal(np.array([back[i] for i in range(500)], dtype=np.float32), rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda row: row,
        lambda row: row.astype(np.float64),
        lambda row: row.tolist(),
        lambda row: tuple(row.tolist()),
        lambda row: list(row),
        lambda row: np.repeat(row, 3)[::3],
        lambda row: row[::-1].copy()[::-1],
        lambda row: array.array("f", row),
        lambda row: pd.Series(row),
        lambda row: row.astype(">f4"),
        lambda row: np.frombuffer(b"x" + row.tobytes(), np.float32, offset=1),
        lambda row: np.array([(7, value) for value in row], dtype=[("a", "u1"), ("b", "f4")])["b"],
    ],
    ids=[
        "f32",
        "f64",
        "list",
        "tuple",
        "list of f32",
        "every third",
        "backwards",
        "array.array",
        "series",
        "big endian",
        "not aligned",
        "field of a record",
    ],
)
def test_a_query_is_the_same_in_every_form(client: VecDBClient, loaded: str, rows: np.ndarray, make) -> None:  # type: ignore[no-untyped-def]
    expected = client.search(loaded, rows[42].tolist(), limit=5)
    assert expected.ids[0] == 42
    assert client.search(loaded, make(rows[42]), limit=5) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: rows,
        lambda rows: rows.astype(np.float64),
        lambda rows: np.asfortranarray(rows),
        lambda rows: rows.tolist(),
        lambda rows: list(rows),
        lambda rows: np.repeat(rows, 2, axis=0)[::2],
        lambda rows: pd.DataFrame(rows, index=range(900, 900 + len(rows))),
    ],
    ids=["f32", "f64", "fortran", "lists", "list of arrays", "every second", "data frame"],
)
def test_rows_are_the_same_in_every_form(client: VecDBClient, loaded: str, rows: np.ndarray, make) -> None:  # type: ignore[no-untyped-def]
    client.upsert(loaded, make(rows[:60] + 1), ids=pd.Series(range(60), index=range(5, 65)), batch_size=25)
    found = client.get(loaded, list(range(60)), with_vector=True)
    assert np.array_equal([record.vector for record in found if record], rows[:60] + 1)
    batch = client.search_batch(loaded, make(rows[:3] + 1), limit=1)
    assert [results.ids for results in batch] == [[0], [1], [2]]


def test_metadata_may_hold_numpy_values(client: VecDBClient, loaded: str) -> None:
    metadata = {
        "n": np.int64(5),
        "f": np.float32(0.5),
        "even": np.bool_(True),
        "text": np.str_("x"),
        "list": np.array([1, 2, 3]),
        "stamp": pd.Timestamp("2026-01-31T12:00:00Z"),
    }
    client.upsert(loaded, [{"id": np.uint64(1000), "vector": np.zeros(16), "metadata": metadata}])
    (record,) = client.get(loaded, [np.int32(1000)])
    assert record is not None
    stamp = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)
    assert record.metadata == {"n": 5, "f": 0.5, "even": True, "text": "x", "list": [1, 2, 3], "stamp": stamp}
    assert client.count(loaded, {"n": {"$in": [np.int64(5)]}, "f": np.float32(0.5)}) == 1


def test_bad_shapes_are_named(client: VecDBClient, loaded: str, rows: np.ndarray) -> None:
    with pytest.raises(InvalidArgumentError, match=r"not an array of shape \(2, 16\)"):
        client.search(loaded, rows[:2])
    with pytest.raises(InvalidArgumentError, match=r"not one of shape \(16,\)"):
        client.search_batch(loaded, rows[0])
    with pytest.raises(InvalidArgumentError, match="an array of vectors needs ids"):
        client.upsert(loaded, rows)
    with pytest.raises(InvalidArgumentError, match="500 ids for 499 vectors"):
        client.upsert(loaded, rows[1:], ids=range(500))
    with pytest.raises(InvalidArgumentError, match="metadata is a dict"):
        client.upsert(loaded, rows[:2], ids=[1, 2], metadata=[{}, "x"])
    with pytest.raises(InvalidArgumentError, match="not an array of numbers"):
        client.search(loaded, np.array(["a"] * 16))
    with pytest.raises(InvalidArgumentError, match="0"):
        client.upsert(loaded, np.empty((3, 0), np.float32), ids=[1, 2, 3])


def test_a_large_array_is_not_copied_by_numpy(embedded: VecDBClient) -> None:
    embedded.create_collection("large", 256, "l2", "flat", durability="none")
    rows = np.ones((40_000, 256), dtype=np.float32)
    tracemalloc.start()
    try:
        embedded.upsert("large", rows, ids=range(len(rows)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # numpy tells tracemalloc of its arrays: a second one of these rows, or a list of them, would show. What the compiled
    # module allocates would not: see the next test.
    assert peak < rows.nbytes / 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much memory a process had at most")
def test_of_a_large_array_a_batch_at_a_time_is_copied(tmp_path: Path) -> None:
    program = """
import re
import numpy as np
from vecdb import NotFoundError, VecDBClient

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1))

rows = np.memmap("rows", np.float32, "w+", shape=(1_000_000, 256))
with VecDBClient(path="data") as client:
    client.create_collection("c", 256, "l2", "flat")
    client.upsert("c", rows[:100_000:1000].copy(), ids=range(100))
    before = peak()
    try:
        client.upsert("another", rows, ids=range(len(rows)))
    except NotFoundError:
        print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    # Of a gigabyte: a batch of 1,000 rows is one mebibyte, which is read and copied once.
    assert int(done.stdout or pytest.fail(done.stderr)) < 16_000


def test_results_become_tables(client: VecDBClient, loaded: str, rows: np.ndarray) -> None:
    results = client.search(loaded, rows[10], limit=4)
    frame = results.to_pandas()
    assert list(frame.columns) == ["id", "score", "distance", "even", "n"]
    assert frame["id"].tolist() == results.ids
    assert frame["n"].tolist() == results.ids
    table = client.search(loaded, rows[10], limit=4, with_vector=True).to_arrow()
    assert table.column("vector").type == pa.list_(pa.float32())
    assert table.column("id").to_pylist() == results.ids
    assert to_pandas(client.scroll(loaded)).shape == (500, 3)
    assert to_arrow([]).num_rows == 0


def test_tables_of_mixed_ids_and_fields(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 1, "l2")
    client.upsert(name, [{"id": 1, "vector": [0], "metadata": {"id": "x"}}, {"id": "b", "vector": [1], "metadata": {"z": 1}}])
    table = client.search(name, [0.0]).to_arrow()
    assert table.column("id").to_pylist() == ["1", "b"]
    assert table.column("metadata.id").to_pylist() == ["x", None]
    assert table.column("z").to_pylist() == [None, 1]
