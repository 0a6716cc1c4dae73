"""What the standard tests do not ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_vecdb import VecDBVectorStore
from pages import examples
from vecdb import InvalidArgumentError, VecDBClient


class Axes(Embeddings):
    """A direction for each word, so that it is plain which texts are near."""

    WORDS = ("chess", "board", "music", "piano")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [0.01 + text.count(word) for word in self.WORDS]


TEXTS = ["chess chess", "chess board", "music", "piano music"]
TOPICS = [{"topic": "games", "n": 1}, {"topic": "games", "n": 2}, {"topic": "art", "n": 3}, {"topic": "art", "n": 4}]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VecDBVectorStore]:
    with VecDBClient(path=tmp_path / "data") as client:
        yield VecDBVectorStore.from_texts(TEXTS, Axes(), TOPICS, ids=["a", "b", "c", "d"], client=client, collection="x")


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"embeddings": Axes()}
    page = Path(__file__).resolve().parents[1] / "README.md"
    exec(compile(examples(page), str(page), "exec"), names)
    assert ids(names["store"].similarity_search("board games", k=3, filter={"topic": "games"})) == ["chess"]
    assert ids(names["retriever"].invoke("board games")) == ["chess"]
    names["store"].client.close()


def test_searches_can_be_filtered_and_bounded(store: VecDBVectorStore) -> None:
    assert ids(store.similarity_search("chess", k=2)) == ["a", "b"]
    assert ids(store.similarity_search("chess", filter={"n": {"$gte": 2}}, k=1)) == ["b"]
    assert ids(store.similarity_search("chess", min_score=0.9)) == ["a"]
    (document,) = store.similarity_search("music", k=1)
    assert document == Document(id="c", page_content="music", metadata={"topic": "art", "n": 3})


def test_scores_and_relevance(store: VecDBVectorStore) -> None:
    scored = store.similarity_search_with_score("chess")
    assert [round(score, 1) for _, score in scored] == [1.0, 0.7, 0.0, 0.0]
    relevant = store.similarity_search_with_relevance_scores("chess", score_threshold=0.5)
    assert ids([document for document, _ in relevant]) == ["a", "b"]
    assert all(0 <= score <= 1 for _, score in relevant)


def test_mmr_prefers_what_differs(store: VecDBVectorStore) -> None:
    store.add_texts(["chess chess chess"], ids=["again"])
    assert ids(store.similarity_search("chess", k=2)) == ["a", "again"]
    assert ids(store.max_marginal_relevance_search("chess", k=2, lambda_mult=0.3))[1] not in ("a", "again")
    assert ids(store.as_retriever(search_type="mmr", search_kwargs={"k": 1}).invoke("music")) == ["c"]


async def test_the_same_async(store: VecDBVectorStore) -> None:
    assert ids(await store.asimilarity_search("chess", k=2)) == ["a", "b"]
    assert ids([d for d, _ in await store.asimilarity_search_with_score("chess", k=1)]) == ["a"]
    assert ids(await store.amax_marginal_relevance_search("music", k=1)) == ["c"]
    made = await VecDBVectorStore.afrom_texts(["chess"], Axes(), client=store.client, collection="y")
    assert len(await made.asimilarity_search("chess")) == 1


def test_delete_by_filter_and_all(store: VecDBVectorStore) -> None:
    assert store.delete(filter={"topic": "games"})
    assert ids(store.similarity_search("chess")) == ["d", "c"] or ids(store.similarity_search("chess")) == ["c", "d"]
    assert store.delete()
    assert store.similarity_search("chess") == []
    assert VecDBVectorStore(store.client, "not-there", Axes()).delete(["a"])


def test_refusals_say_why(store: VecDBVectorStore) -> None:
    with pytest.raises(ValueError, match="1 ids for 2 texts"):
        store.add_texts(["a", "b"], ids=["1"])
    with pytest.raises(ValueError, match="text_field"):
        store.add_texts(["a"], [{"page_content": "b"}])
    with pytest.raises(InvalidArgumentError, match="dict in a list"):
        store.add_texts(["a"], [{"deep": [{"b": 1}]}])
    with pytest.raises(ValueError, match="give a client"):
        VecDBVectorStore.from_texts(["a"], Axes())
    assert store.add_texts([]) == []
