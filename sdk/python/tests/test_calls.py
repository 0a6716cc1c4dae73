"""Every call, on a folder and on a server."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from vecdb import (
    AlreadyExistsError,
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
    VecDBClient,
    VecDBError,
)

UTC = datetime.timezone.utc


@pytest.fixture
def products(client: VecDBClient, name: str) -> str:
    client.create_collection(name, dimension=3, metric="cosine", fields={"tags": "string[]"})
    client.upsert(
        name,
        vectors=[
            {"id": "prod_001", "vector": [0.9, 0.1, 0.0], "metadata": {"category": "electronics", "price": 99.5}},
            {"id": "prod_002", "vector": [0.1, 0.9, 0.0], "metadata": {"category": "clothing", "price": 49.5}},
            {"id": "prod_003", "vector": [0.8, 0.3, 0.1], "metadata": {"category": "electronics", "price": 250.0}},
            {"id": 4, "vector": [0.0, 0.1, 0.9]},
        ],
    )
    return name


def test_the_calls_of_the_mission(client: VecDBClient, name: str) -> None:
    client.create_collection(
        name=name,
        dimension=3,
        metric="cosine",
        index_config={"type": "hnsw", "m": 32, "ef_construction": 200},
    )
    client.upsert(
        collection=name,
        vectors=[
            {"id": "prod_001", "vector": [0.9, 0.1, 0.0], "metadata": {"category": "electronics", "price": 99.99}},
            {"id": "prod_002", "vector": [0.1, 0.9, 0.0], "metadata": {"category": "clothing", "price": 49.99}},
        ],
    )
    results = client.search(
        collection=name,
        vector=[1.0, 0.0, 0.0],
        limit=10,
        filter={"category": "electronics", "price": {"$lt": 100}},
    )
    assert isinstance(results, list)
    (result,) = results
    assert isinstance(result, dict)
    assert result["id"] == "prod_001"
    assert result["metadata"] == {"category": "electronics", "price": 99.99}
    assert result["score"] == pytest.approx(0.9938837)
    assert result["distance"] == pytest.approx(1 - result["score"], abs=1e-6)
    info = client.get_collection(name)
    assert info.index["type"] == "hnsw"
    assert info.index["m"] == 32


def test_a_collection_of_lists(client: VecDBClient, name: str) -> None:
    client.create_collection(name, dimension=3, metric="l2", index_config={"type": "ivf", "nlist": 64})
    info = client.get_collection(name)
    assert info.index["type"] == "ivf"
    assert info.index["nlist"] == 64
    points = [{"id": i, "vector": [float(i), 1.0, 0.5], "metadata": {"odd": i % 2 == 1}} for i in range(2_000)]
    client.upsert(name, vectors=points)
    client.compact(name)
    near = client.search(name, [700.2, 1.0, 0.5], limit=2, params={"nprobe": 8})
    assert near.ids == [700, 701]
    assert near.ids == client.search(name, [700.2, 1.0, 0.5], limit=2, params={"exact": True}).ids
    odd = client.search(name, [700.2, 1.0, 0.5], limit=2, filter={"odd": True}, params={"nprobe": 8, "rerank": 50})
    assert odd.ids == [701, 699]
    with pytest.raises(InvalidArgumentError, match="`ivf` has no search parameter `ef`.*nprobe, rerank, target_recall"):
        client.search(name, [1.0, 1.0, 1.0], params={"ef": 50})


def test_merges_are_paused_and_resumed(client: VecDBClient, name: str) -> None:
    client.create_collection(name, dimension=2, metric="l2")
    try:
        client.pause_merges()
        assert client.status().merges_paused
        maintenance = client.get_collection(name).maintenance
        assert maintenance.merges_paused and maintenance.merge is None
        # What is asked for is done all the same.
        for first in (0, 100):
            client.upsert(name, ids=range(first, first + 5), vectors=[[float(first + i), 1.0] for i in range(5)])
            client.flush(name)
        client.compact(name)
        assert len(client.get_collection(name).segments) == 1
    finally:
        client.resume_merges()
    assert not client.status().merges_paused


@pytest.mark.parametrize("code", ["pq", "opq2x4", "rabitq4", "binary"])
def test_a_collection_of_codes(client: VecDBClient, name: str, code: str) -> None:
    client.create_collection(name, dimension=4, metric="l2", index_config={"type": "ivf", "nlist": 40, "code": code})
    assert client.get_collection(name).index["code"] == code
    points = [{"id": i, "vector": [i * 1.0, i % 7, i % 11, i % 13]} for i in range(2_000)]
    client.upsert(name, vectors=points)
    client.compact(name)
    query = [700.2, 0.0, 7.0, 11.0]
    exact = client.search(name, query, limit=5, params={"exact": True})
    near = client.search(name, query, limit=5, params={"nprobe": 20, "rerank": 2_000})
    assert near.ids == exact.ids
    assert near.scores == exact.scores


def test_a_code_that_is_none(client: VecDBClient, name: str) -> None:
    for code, named in [("turbo", "`turbo`.*pq16x4"), ("pq5x4", "`m` is 5"), ("rabitq9", "from 1 to 8")]:
        with pytest.raises(InvalidArgumentError, match=named):
            client.create_collection(name, dimension=4, index_config={"type": "ivf", "code": code})


def test_a_collection_on_the_disk(client: VecDBClient, name: str) -> None:
    client.create_collection(name, dimension=3, metric="l2", index_config={"type": "diskann", "r": 32, "alpha": 1.5})
    info = client.get_collection(name)
    assert info.index["type"] == "diskann"
    assert info.index["r"] == 32
    assert info.index["alpha"] == 1.5
    client.upsert(name, vectors=[{"id": i, "vector": [float(i), 1.0, 0.5]} for i in range(2_000)])
    client.compact(name)
    near = client.search(name, [700.2, 1.0, 0.5], limit=2, params={"ef": 40, "beam_width": 8})
    assert near.ids == [700, 701]
    with pytest.raises(InvalidArgumentError, match="`diskann` has no search parameter `nprobe`.*ef, beam_width"):
        client.search(name, [1.0, 1.0, 1.0], params={"nprobe": 5})


def test_a_collection_of_hash_tables(client: VecDBClient, name: str) -> None:
    client.create_collection(name, dimension=3, metric="l2", index_config={"type": "lsh", "tables": 6})
    info = client.get_collection(name)
    assert info.index["type"] == "lsh"
    assert info.index["tables"] == 6
    points = [{"id": i, "vector": [float(i), 1.0, 0.5], "metadata": {"odd": i % 2 == 1}} for i in range(2_000)]
    client.upsert(name, vectors=points)
    client.compact(name)
    near = client.search(name, [700.2, 1.0, 0.5], limit=2, params={"probes": 12, "candidates": 500})
    assert near.ids == [700, 701]
    odd = client.search(name, [700.2, 1.0, 0.5], limit=2, filter={"odd": True}, params={"target_recall": 0.95})
    assert odd.ids == [701, 699]
    with pytest.raises(InvalidArgumentError, match="`target_recall` takes the place of `probes`"):
        client.search(name, [1.0, 1.0, 1.0], params={"probes": 5, "target_recall": 0.9})
    with pytest.raises(InvalidArgumentError, match="`target_recall` is 0.2, but must be from 0.5 to 0.999"):
        client.search(name, [1.0, 1.0, 1.0], params={"target_recall": 0.2})


def test_results_have_attributes_besides(client: VecDBClient, products: str) -> None:
    results = client.search(products, [0.9, 0.1, 0.0], limit=2)
    assert results.searched_vectors == 4
    assert results.latency_ms > 0
    assert results.truncated is False
    assert results.ids == ["prod_001", "prod_003"]
    assert results.scores == [hit.score for hit in results]
    assert results[0].id == "prod_001"
    assert results[0].metadata["category"] == "electronics"
    with pytest.raises(AttributeError, match="no 'vector' here; there are: id, score"):
        results[0].vector  # noqa: B018


def test_what_a_search_can_be_asked(client: VecDBClient, products: str) -> None:
    def ids(**options: object) -> list[int | str]:
        return client.search(products, [0.9, 0.1, 0.0], **options).ids  # type: ignore[arg-type]

    assert ids() == ["prod_001", "prod_003", "prod_002", 4]
    assert ids(limit=1) == ["prod_001"]
    assert ids(filter={"price": {"$gte": 100}}) == ["prod_003"]
    assert ids(filter={"$or": [{"category": "clothing"}, {"price": {"$exists": False}}]}) == ["prod_002", 4]
    assert ids(max_distance=0.1) == ["prod_001", "prod_003"]
    assert ids(min_score=0.95) == ["prod_001", "prod_003"]
    assert ids(params={"exact": True}) == ids(params={"ef": 50})
    bare = client.search(products, [0.9, 0.1, 0.0], limit=1, with_metadata=False, with_vector=True)[0]
    assert list(bare) == ["id", "score", "distance", "vector"]
    assert bare.vector == pytest.approx([0.9, 0.1, 0.0])


def test_a_batch_of_searches_answers_each(client: VecDBClient, products: str) -> None:
    queries = [[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]
    batch = client.search_batch(products, queries, limit=2)
    assert [list(results.ids) for results in batch] == [client.search(products, q, limit=2).ids for q in queries]
    assert client.search_batch(products, [], limit=2) == []


def test_points_are_read_updated_and_deleted(client: VecDBClient, products: str) -> None:
    found = client.get(products, ["prod_002", "nobody", 4], with_vector=True)
    assert found[1] is None
    assert found[0] is not None and found[0].metadata == {"category": "clothing", "price": 49.5}
    assert found[0].vector == pytest.approx([0.1, 0.9, 0.0])
    assert found[2] == {"id": 4, "vector": found[2]["vector"], "metadata": {}}  # type: ignore[index]

    assert client.update_metadata(products, ["prod_002"], {"price": 30.0}).updated == 1
    assert client.get(products, ["prod_002"])[0].metadata == {"category": "clothing", "price": 30.0}  # type: ignore[union-attr]
    client.update_metadata(products, ["prod_002"], {"price": 20.0}, replace=True)
    assert client.get(products, ["prod_002"])[0].metadata == {"price": 20.0}  # type: ignore[union-attr]

    assert client.count(products) == 4
    assert client.count(products, {"category": "electronics"}) == 2
    assert client.delete(products, ids=["prod_002", "nobody"]).deleted == 1
    assert client.delete(products, filter={"category": "electronics"}).deleted == 2
    assert client.count(products) == 1
    assert client.delete(products, filter={}).deleted == 1


def test_a_write_says_what_it_did(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 2, "l2", durability={"interval_ms": 50})
    written = client.upsert(name, [{"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [3, 4]}])
    assert (written.inserted, written.updated, written.durability) == (2, 0, {"interval_ms": 50})
    again = client.upsert(name, [{"id": 2, "vector": [5, 6]}, {"id": 3, "vector": [7, 8]}], durability="every_write")
    assert (again.inserted, again.updated, again.durability) == (1, 1, "every_write")
    assert again.position > written.position


def test_ids_of_every_kind(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 1, "l2")
    some = uuid.uuid4()
    ids = [0, 2**64 - 1, "5", 5, some, "ünïcödé"]
    client.upsert(name, [[float(i)] for i in range(len(ids))], ids=ids)
    assert client.count(name) == len(ids)
    back = [record.id for record in client.get(name, ids) if record]
    assert back == [0, 2**64 - 1, "5", 5, str(some), "ünïcödé"]
    assert client.get(name, [str(some)]) == client.get(name, [some])


def test_metadata_of_every_kind_comes_back(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 1, "l2")
    noon_in_berlin = datetime.datetime(2026, 1, 31, 12, 0, 0, 5, datetime.timezone(datetime.timedelta(hours=1)))
    metadata = {
        "nothing": None,
        "truth": True,
        "whole": -(2**63),
        "float": 1.5,
        "text": "käse",
        "list": ["a", "b"],
        "moment": noon_in_berlin,
        "day": datetime.date(2026, 2, 1),
    }
    client.upsert(name, [{"id": 1, "vector": [0.0], "metadata": metadata}])
    (record,) = client.get(name, [1])
    assert record is not None
    expected = {**metadata, "day": datetime.datetime(2026, 2, 1, tzinfo=UTC)}
    assert record.metadata == expected
    assert record.metadata["moment"].tzinfo is UTC
    assert client.get_collection(name).fields["moment"] == "datetime"
    later = {"moment": {"$gt": datetime.datetime(2026, 1, 31, 11, tzinfo=UTC)}}
    assert client.count(name, later) == 1
    assert client.count(name, {"moment": {"$lt": datetime.date(2026, 1, 31)}}) == 0


def test_scroll_gives_every_point_once(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 1, "l2")
    client.upsert(name, [[float(i)] for i in range(257)], ids=list(range(257)), metadata=[{"even": i % 2 == 0} for i in range(257)])
    assert sorted(record.id for record in client.scroll(name, page_size=100)) == list(range(257))
    evens = list(client.scroll(name, filter={"even": True}, page_size=10, with_vector=True))
    assert len(evens) == 129
    assert all(record.vector == [float(record.id)] for record in evens)
    page, cursor = client.scroll_page(name, page_size=200)
    rest, end = client.scroll_page(name, cursor, page_size=200)
    assert (len(page), len(rest), end) == (200, 57, None)


def test_bulk_loads_go_in_batches_and_tell(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 2, "l2")
    told: list[tuple[int, int | None]] = []
    points = [{"id": i, "vector": [i, i]} for i in range(25)]
    client.upsert(name, points, batch_size=10, progress=lambda done, of: told.append((done, of)))
    assert told == [(10, 25), (20, 25), (25, 25)]
    told.clear()
    client.upsert(name, iter(points), batch_size=20, progress=lambda done, of: told.append((done, of)))
    assert told == [(20, None), (25, None)]

    class Bar:
        n = 0

        def update(self, n: int) -> None:
            self.n += n

    bar = Bar()
    written = client.upsert(name, [[i, 0] for i in range(30)], ids=range(30), batch_size=7, progress=bar)
    assert bar.n == 30
    assert (written.inserted, written.updated) == (5, 25)


def test_a_bad_point_in_a_later_batch_leaves_the_earlier_ones(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 2, "l2")
    points = [{"id": i, "vector": [i, i] if i != 15 else [i]} for i in range(20)]
    with pytest.raises(InvalidArgumentError):
        client.upsert(name, points, batch_size=10)
    assert client.count(name) == 10


def test_collections_are_made_listed_and_dropped(client: VecDBClient, name: str) -> None:
    info = client.create_collection(name, 8, "dot", "flat", element="f16", fields={"n": "int"}, durability="none")
    assert (info.dimension, info.metric, info.element, info.durability) == (8, "dot", "f16", "none")
    assert info.index == {"type": "flat"}
    assert info.fields == {"n": "int"}
    assert {"name": name, "points": 0, "broken": None} in client.list_collections()
    with pytest.raises(AlreadyExistsError):
        client.create_collection(name, 8)
    client.drop_collection(name)
    with pytest.raises(NotFoundError) as caught:
        client.get_collection(name)
    assert caught.value.kind == "not_found"
    assert name in str(caught.value)


def test_maintenance(client: VecDBClient, products: str) -> None:
    client.flush(products)
    assert len(client.get_collection(products).segments) >= 1
    client.compact(products)
    report = client.verify(products)
    assert report.problems == [] and report.files > 0
    assert client.verify().problems == []
    mended = client.verify(products, repair=True)
    assert (mended.problems, mended.repaired, mended.quarantined, mended.lost) == ([], [], [], 0)
    status = client.status()
    assert status.points >= 4 and status.collections >= 1
    assert status.uptime_seconds >= 0 and status.version


def test_field_indexes(client: VecDBClient, products: str) -> None:
    def indexed() -> bool:
        return "price" not in client.get_collection(products).unindexed

    client.compact(products)
    cheap = {"price": {"$lt": 50}}
    expected = client.count(products, cheap)
    assert indexed()
    assert client.drop_field_index(products, "price")
    assert not client.drop_field_index(products, "price")
    assert not indexed()
    found = client.search(products, [0.1, 0.2, 0.3], limit=100, filter=cheap)
    assert len(found) == expected and found.stats.unindexed == ("price",)
    assert client.create_field_index(products, "price")
    assert not client.create_field_index(products, "price", timeout=60)
    assert indexed()
    found = client.search(products, [0.1, 0.2, 0.3], limit=100, filter=cheap)
    assert len(found) == expected and found.stats.unindexed == ()
    with pytest.raises(InvalidArgumentError, match=r"did you mean price\?"):
        client.create_field_index(products, "prise")
    notes = f"{products}-notes"
    made = client.create_collection(notes, 2, fields={"body": "text", "n": "int"}, unindexed=["body"])
    assert made.unindexed == ["body"] and made.fields == {"body": "text", "n": "int"}
    client.drop_collection(notes)
    with pytest.raises(InvalidArgumentError, match=r"did you mean body\?"):
        client.create_collection(notes, 2, fields={"body": "text"}, unindexed=["bodi"])
    with pytest.raises(NotFoundError):
        client.drop_field_index("missing", "price")


def test_advice(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 4, "l2")
    client.upsert(name, [[i % 17, i % 11, i % 7, i / 50] for i in range(500)], ids=range(500))
    client.delete(name, ids=range(100))
    advice = client.advise(name, 0.9, queries=20)
    assert (advice.rows, advice.sample_rows, advice.queries) == (400, 380, 20)
    assert {choice.index["type"] for choice in advice.choices} == {"flat", "hnsw", "ivf", "diskann", "lsh"}
    best = advice.recommended
    assert best is not None and best == advice.choices[0]
    assert best.sample_recall >= 0.9 and best.latency_us > 0 and best.memory_bytes > 0
    assert client.search(name, [1, 2, 3, 4], limit=1).ids
    client.create_collection(f"{name}-2", 4, "l2", index_config=best.index)
    client.drop_collection(f"{name}-2")

    tight = client.advise(name, memory=1_000, rows=10**9, queries=20)
    assert tight.rows == 10**9 and tight.recommended is None
    assert not any(choice.fits_memory for choice in tight.choices)
    with pytest.raises(InvalidArgumentError, match=r"`target_recall` is 1\.5"):
        client.advise(name, target_recall=1.5)
    with pytest.raises(InvalidArgumentError, match="`limit` is 0"):
        client.advise(name, limit=0)
    with pytest.raises(InvalidArgumentError, match="memory is a whole number"):
        client.advise(name, memory=-1)
    with pytest.raises(DeadlineExceededError):
        client.advise(name, timeout=0.0001)
    client.delete(name, ids=range(100, 300))
    with pytest.raises(InvalidArgumentError, match="at least 300"):
        client.advise(name)


def test_snapshots(client: VecDBClient, products: str) -> None:
    made = client.create_snapshot(f"of-{products}", [products])
    assert made.name == f"of-{products}" and made.bytes > 0
    assert [summary["name"] for summary in made.collections] == [products]
    assert made.name in [snapshot.name for snapshot in client.list_snapshots()]
    client.delete(products, filter={})
    (restored,) = client.restore_snapshot(made.name, products, f"{products}-again")
    assert (restored.name, restored.points) == (f"{products}-again", 4)
    assert client.search(restored.name, [0.9, 0.1, 0.0], limit=1).ids == ["prod_001"]
    with pytest.raises(AlreadyExistsError):
        client.restore_snapshot(made.name, products, f"{products}-again")
    client.delete_snapshot(made.name)
    with pytest.raises(NotFoundError):
        client.restore_snapshot(made.name)


def test_a_time_limit_that_has_passed_ends_the_call(client: VecDBClient, products: str) -> None:
    with pytest.raises(DeadlineExceededError) as caught:
        client.search(products, [1.0, 0.0, 0.0], timeout=0.0)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, VecDBError)
    assert client.search(products, [1.0, 0.0, 0.0], timeout=30).ids


def test_a_closed_client_says_so(connect: Callable[[], VecDBClient], name: str) -> None:
    with connect() as client:
        client.create_collection(name, 1)
        assert not client.closed
    assert client.closed and "closed" in repr(client)
    with pytest.raises(VecDBError, match="closed"):
        client.count(name)
    client.close()


BAD = [
    (lambda c, n: c.search(n, [1.0, 2.0]), "2"),
    (lambda c, n: c.search(n, [1.0, 2.0, float("nan")]), "nan|NaN"),
    (lambda c, n: c.search(n, [1.0, 2.0, "x"]), "value 2 of the vector is not a number: 'x'"),
    (lambda c, n: c.search(n, "abc"), "a vector is a list of numbers"),
    (lambda c, n: c.search(n, {"a": 1}), "a vector is a list of numbers"),
    (lambda c, n: c.search(n, None), "a vector is a list of numbers"),
    (lambda c, n: c.search(n, [1, 2, 3], limit=-1), "limit is a whole number from 0 on, not -1"),
    (lambda c, n: c.search(n, [1, 2, 3], limit=2**70), "limit"),
    (lambda c, n: c.search(n, [1, 2, 3], limit="5"), "limit"),
    (lambda c, n: c.search(n, [1, 2, 3], limit=True), "limit"),
    (lambda c, n: c.search(n, [1, 2, 3], filter={"price": {"$less": 5}}), r"\$less"),
    (lambda c, n: c.search(n, [1, 2, 3], filter=["price"]), "filter"),
    (lambda c, n: c.search(n, [1, 2, 3], filter={"price": object()}), "has no JSON form"),
    (lambda c, n: c.search(n, [1, 2, 3], params={"nprobe": 5}), "nprobe"),
    (lambda c, n: c.search(n, [1, 2, 3], timeout=-1), "timeout"),
    (lambda c, n: c.search(n, [1, 2, 3], timeout=float("nan")), "timeout"),
    (lambda c, n: c.search_batch(n, 5), "vectors are a list of vectors"),
    (lambda c, n: c.search_batch(n, [[1, 2, 3], "x"]), r"vectors\[1\]: a vector is a list"),
    (lambda c, n: c.upsert(n, [{"id": 1}]), r"vectors\[0\]: the point has no vector"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3]}, {"vector": [1, 2, 3]}]), r"vectors\[1\]: the point has no id"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "payload": {}}]), "not 'payload'"),
    (lambda c, n: c.upsert(n, [{"id": -1, "vector": [1, 2, 3]}]), "id -1"),
    (lambda c, n: c.upsert(n, [{"id": 2**64, "vector": [1, 2, 3]}]), "whole number"),
    (lambda c, n: c.upsert(n, [{"id": 1.5, "vector": [1, 2, 3]}]), "an id is"),
    (lambda c, n: c.upsert(n, [{"id": True, "vector": [1, 2, 3]}]), "an id is"),
    (lambda c, n: c.upsert(n, [{"id": "", "vector": [1, 2, 3]}]), "empty"),
    (lambda c, n: c.upsert(n, [{"id": "x" * 2000, "vector": [1, 2, 3]}]), "1024"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": [{"b": 1}]}}]), "metadata a.*dict in a list"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": [[1]]}}]), "list inside a list"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": 2**63}}]), "outside"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": float("inf")}}]), "inf"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {5: 1}}]), "is text, not 5"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": datetime.datetime(2026, 1, 1)}}]), "time zone"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": {"a": b"x"}}]), "bytes"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3], "metadata": [1]}]), "metadata is a dict"),
    (lambda c, n: c.upsert(n, [5]), "a point is a dict"),
    (lambda c, n: c.upsert(n, {"id": 1, "vector": [1, 2, 3]}), "vectors are a list"),
    (lambda c, n: c.upsert(n, 5), "vectors are a list"),
    (lambda c, n: c.upsert(n, [[1, 2, 3]], ids=[1, 2]), "2 ids for 1 vectors"),
    (lambda c, n: c.upsert(n, [[1, 2, 3]], ids=[1], metadata=[]), "0 rows of metadata"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3]}], batch_size=0), "batch_size"),
    (lambda c, n: c.upsert(n, [{"id": 1, "vector": [1, 2, 3]}], durability="always"), "durability"),
    (lambda c, n: c.get(n, "prod_001"), "ids are a list"),
    (lambda c, n: c.get(n, 5), "ids are a list"),
    (lambda c, n: c.delete(n), "either ids or a filter"),
    (lambda c, n: c.delete(n, [1], filter={"a": 1}), "either ids or a filter"),
    (lambda c, n: c.create_collection("no/slash", 3), "collection name"),
    (lambda c, n: c.create_collection("x", 0), "dimension 0"),
    (lambda c, n: c.create_collection("x", -3), "dimension"),
    (lambda c, n: c.create_collection("x", 3, "euclid"), "euclid"),
    (lambda c, n: c.create_collection("x", 3, element="f8"), "f8"),
    (lambda c, n: c.create_collection("x", 3, index_config={"type": "hnsw", "M": 3}), "M"),
    (lambda c, n: c.create_collection("x", 3, index_config="tree"), "tree"),
    (lambda c, n: c.create_collection("x", 3, fields={"a": "varchar"}), "varchar"),
]


@pytest.mark.parametrize(("call", "said"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_by_name(client: VecDBClient, products: str, call: Callable[[VecDBClient, str], object], said: str) -> None:
    before = client.count(products)
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        call(client, products)
    assert isinstance(caught.value, ValueError)
    assert caught.value.kind == "invalid_argument"
    assert client.count(products) == before


def test_a_filter_of_endless_depth_is_refused(client: VecDBClient, products: str) -> None:
    endless: dict[str, object] = {}
    endless["$not"] = endless
    with pytest.raises(InvalidArgumentError, match="deep"):
        client.count(products, endless)


@pytest.mark.parametrize("levels", [65, 150, 1_000, 100_000])
def test_filters_nested_too_deep_are_refused(client: VecDBClient, products: str, levels: int) -> None:
    nested: dict[str, object] = {"price": 5}
    for _ in range(levels):
        nested = {"$not": nested}
    with pytest.raises(InvalidArgumentError, match="levels deep"):
        client.search(products, [1.0, 0.0, 0.0], filter=nested)
    with pytest.raises(InvalidArgumentError, match="levels deep"):
        client.count(products, {"$and": [nested]})
    statement = f"SELECT id FROM \"{products}\" WHERE {'NOT (' * levels}price = 5{')' * levels}"
    with pytest.raises(InvalidArgumentError, match="levels deep"):
        client.query(statement)
    while "$not" in nested:     # Taken apart level by level, not by a recursion of the interpreter.
        nested = nested["$not"]     # type: ignore[assignment]


def test_unknown_collections_are_not_found(client: VecDBClient, products: str) -> None:
    for call in (
        lambda: client.search("nobody", [1.0]),
        lambda: client.upsert("nobody", []),
        lambda: client.count("nobody"),
        lambda: client.drop_collection("nobody"),
        lambda: list(client.scroll("nobody")),
        lambda: client.delete("nobody", [1]),
        lambda: client.flush("nobody"),
    ):
        with pytest.raises(NotFoundError, match="nobody"):
            call()


def test_points_in_the_order_of_a_field(client: VecDBClient, products: str) -> None:
    by_price = [record.id for record in client.scroll(products, order_by="price", page_size=2)]
    assert by_price == ["prod_002", "prod_001", "prod_003", 4]
    dear = client.scroll(products, order_by="price", descending=True, filter={"category": "electronics"})
    assert [record.id for record in dear] == ["prod_003", "prod_001"]
    page, cursor = client.scroll_page(products, order_by="price", page_size=1)
    assert page[0].id == "prod_002" and cursor is not None
    with pytest.raises(InvalidArgumentError, match="keep order_by"):
        client.scroll_page(products, cursor, page_size=1)
    with pytest.raises(InvalidArgumentError, match="did you mean price"):
        client.scroll_page(products, order_by="prise")


def test_facets(client: VecDBClient, products: str) -> None:
    facets = client.facets(products, "category")
    assert facets == [{"value": "electronics", "count": 2}, {"value": "clothing", "count": 1}]
    assert (facets[0].value, facets[0].count) == ("electronics", 2)
    assert (facets.distinct, facets.points, facets.missing) == (2, 4, 1)
    cheap = client.facets(products, "category", limit=1, filter={"price": {"$lt": 100}})
    assert cheap == [{"value": "clothing", "count": 1}] and cheap.distinct == 2
    for wrong in ({"field": "categry"}, {"field": "category", "limit": 0}):
        with pytest.raises(InvalidArgumentError):
            client.facets(products, **wrong)


def test_pages_and_groups_of_hits(client: VecDBClient, products: str) -> None:
    query = [1.0, 0.0, 0.0]
    ids = client.search(products, query).ids
    assert client.search(products, query, limit=2, offset=1).ids == ids[1:3]
    results = client.search(products, query, group_by="category", group_size=2)
    assert results == []
    assert [group.value for group in results.groups] == ["electronics", "clothing"]
    assert [hit.id for hit in results.groups[0].hits] == ["prod_001", "prod_003"]
    (only,) = client.search(products, query, limit=1, offset=1, group_by="category").groups
    assert only.value == "clothing" and only.hits[0].metadata["price"] == 49.5
    (batched,) = client.search_batch(products, [query], group_by="category", limit=1)
    assert [group.value for group in batched.groups] == ["electronics"]
    with pytest.raises(InvalidArgumentError, match="group_size 0"):
        client.search(products, query, group_by="category", group_size=0)
    with pytest.raises(InvalidArgumentError, match="offset is a whole number"):
        client.search(products, query, offset=-1)


@pytest.mark.parametrize("strategy", ["average_vector", "best_score"])
def test_recommendations(client: VecDBClient, products: str, strategy: Any) -> None:
    like = client.recommend(products, ["prod_001"], strategy=strategy)
    assert like.ids[0] == "prod_003" and "prod_001" not in like.ids and len(like) == 3
    other = client.recommend(products, [numpy.array([0.9, 0.2, 0.0]), "prod_001"], [4], limit=1, strategy=strategy)
    assert other.ids == ["prod_003"]
    near = client.recommend(products, ["prod_001"], min_score=0.9, with_vector=True, strategy=strategy)
    assert near.ids == ["prod_003"] and len(near[0].vector) == 3
    with pytest.raises(NotFoundError, match="nobody"):
        client.recommend(products, ["nobody"], strategy=strategy)
    for positive, named in (([], "no example"), ("prod_001", "positive is a list"), ([True], r"positive\[0\]")):
        with pytest.raises(InvalidArgumentError, match=named):
            client.recommend(products, positive, strategy=strategy)
    with pytest.raises(InvalidArgumentError, match="average_vector, best_score"):
        client.recommend(products, ["prod_001"], strategy="best")  # type: ignore[arg-type]


def test_inner_fields_points_and_words(client: VecDBClient, name: str) -> None:
    client.create_collection(name, 3, "cosine", fields={"body": "text(english)", "key": "uuid"})
    key = uuid.UUID("67e55044-10b1-426f-9247-bb680e5fe0c8")
    metadata = {
        "size": {"width": 5, "unit": {"name": "cm"}},
        "shop": {"lat": 52.5, "lon": 13.4},
        "body": "A free chess engine",
        "key": key,
        "none": {},
    }
    client.upsert(name, [{"id": 1, "vector": [1, 0, 0], "metadata": metadata}])
    client.upsert(name, [{"id": 2, "vector": [0, 1, 0], "metadata": {"body": "A free editor"}}])
    (record,) = client.get(name, [1])
    assert record.metadata == {**metadata, "key": str(key), "none": None}
    near = {"center": {"lat": 52.5, "lon": 13.5}, "radius_m": 10_000}
    for filter in (
        {"size.width": {"$gte": 5}},
        {"size.unit.name": "cm"},
        {"shop": {"$geoWithin": near}},
        {"body": {"$text": "engine chess"}},
        {"body": {"$text": "engines"}},
        {"body": {"$phrase": "chess eng*"}},
        {"body": {"$startsWith": "A free c"}},
        {"body": {"$contains": "chess"}},
        {"key": key.hex},
        {"size.width": {"$all": [5]}},
    ):
        assert client.search(name, [1, 1, 0], filter=filter).ids == [1], filter
    for metadata, named in (
        ({"a.b": 1, "a": {"b": 2}}, "a.b.*twice"),
        ({"shop": {"lat": 95, "lon": 0}}, "latitude 95"),
        ({"a": {1: 2}}, "the name of a field is text"),
    ):
        with pytest.raises(InvalidArgumentError, match=named):
            client.upsert(name, [{"id": 3, "vector": [1, 0, 0], "metadata": metadata}])


def test_a_search_explains_itself(client: VecDBClient, products: str) -> None:
    results = client.search(products, [1.0, 0.0, 0.0], filter={"price": {"$lt": 100}}, explain=True)
    assert results.explanation is not None
    (part,) = results.explanation["parts"]
    assert part["matching"] == results.stats.matching == len(results)
    (condition,) = results.explanation["conditions"]
    assert condition["condition"] == '{"price":{"$lt":100}}' and condition["indexed"]
    assert client.search(products, [1.0, 0.0, 0.0]).explanation is None
    expected = client.search(products, [1.0, 0.0, 0.0], filter={"price": {"$lt": 100}}, explain_only=True)
    assert expected == [] and expected.explanation is not None
    assert expected.explanation["conditions"][0]["condition"] == condition["condition"]
    batch = client.search_batch(products, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], explain=True)
    assert all(one.explanation is not None and one.explanation["parts"] for one in batch)
    like = client.recommend(products, [results.ids[0]], explain=True)
    assert like.explanation is not None and like.explanation["parts"]
    assert client.recommend(products, [results.ids[0]]).explanation is None
    assert results.stats.unindexed == ()
    forced = client.search(products, [1.0, 0.0, 0.0], params={"plan": "scan"})
    assert len(forced) > 0
    checked = {"plan": "check", "plan_costs": "counted"}
    assert client.search(products, [1.0, 0.0, 0.0], params=checked).ids == forced.ids
    # Where there is no graph of the matching points, it is as if none were asked for.
    assert client.search(products, [1.0, 0.0, 0.0], params={"plan": "subset"}).ids == forced.ids
    with pytest.raises(InvalidArgumentError, match="counted"):
        client.search(products, [1.0, 0.0, 0.0], params={"plan_costs": "guessed"})
    with pytest.raises(InvalidArgumentError, match="scan.*walk.*hop.*subset.*check"):
        client.search(products, [1.0, 0.0, 0.0], params={"plan": "jump"})


def test_kept_answers(client: VecDBClient, products: str) -> None:
    query = [1.0, 0.0, 0.0]
    first = client.search(products, query, cache=True)
    again = client.search(products, query, cache=True)
    assert (first.cached, again.cached) == (False, True) and again == first
    assert not client.search(products, query).cached
    assert not client.search(products, query, limit=1, cache=True).cached
    assert client.search_batch(products, [query], cache=True)[0].cached
    liked = [client.recommend(products, [query], cache=True) for _ in range(2)]
    assert [one.cached for one in liked] == [False, True]
    # A write, and nothing from before it is given.
    client.upsert(products, [{"id": "new", "vector": query}])
    after = client.search(products, query, cache=True)
    assert not after.cached and "new" in after.ids
    counts = client.get_collection(products).searches
    assert (counts.result_hits, counts.result_misses) == (3, 4)
    assert counts.subset == 0 and client.get_collection(products).subset_graphs == 0


def test_sql(client: VecDBClient, name: str) -> None:
    c = f'"{name}"'
    assert client.query(f"CREATE COLLECTION {c} (dimension 2, metric l2, index flat)") == []
    written = client.query(
        f"INSERT INTO {c} (id, vector, name, price) VALUES (1, $a, 'chess', 20), ('b', $b, $name, 60)",
        {"a": [1, 0], "b": numpy.array([2, 0], dtype=numpy.float32), "name": "it's go'; DROP"},
    )
    assert (written.affected, written, written.columns) == (2, [], [])
    rows = client.query(f"SELECT id, name, distance FROM {c} WHERE vector NEAR ? AND price IN (?)", [numpy.array([1.0, 0.5]), [20, 60]])
    assert [row.id for row in rows] == [1, "b"]
    assert rows[0].distance == 0.5
    assert rows[1]["name"] == "it's go'; DROP"
    assert rows.columns == [("id", "id"), ("name", "string"), ("distance", "float")]
    assert (rows.affected, rows.searched_vectors, rows.truncated) == (None, 2, False)
    assert client.query(f"SELECT COUNT(*) AS n FROM {c}") == [{"n": 2}]
    groups = client.query(f"SELECT name, COUNT(*) FROM {c} GROUP BY name ORDER BY name LIMIT 1")
    assert groups == [{"name": "chess", "count": 1}]
    nearest = client.query(f"SELECT name, id FROM {c} WHERE vector NEAR [1, 0] GROUP BY name LIMIT 1 PER GROUP LIMIT 2")
    assert nearest == [{"name": "chess", "id": 1}, {"name": "it's go'; DROP", "id": "b"}]
    with pytest.raises(InvalidArgumentError, match="1:8: unknown field"):
        client.query(f"SELECT nam FROM {c}")
    with pytest.raises(InvalidArgumentError, match=r"parameter \$x"):
        client.query(f"SELECT * FROM {c}", {"x": object()})
    with pytest.raises(InvalidArgumentError, match="a list or a dict"):
        client.query(f"SELECT * FROM {c}", "x")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        client.query("SELECT * FROM nowhere")
    client.query(f"DROP COLLECTION {c}")
