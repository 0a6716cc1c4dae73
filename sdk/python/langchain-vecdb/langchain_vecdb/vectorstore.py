"""Documents as points of a collection: their text in one metadata field, their metadata in the others."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from vecdb import AlreadyExistsError, NotFoundError, Record, SearchResult, SearchResults, VecDBClient


class VecDBVectorStore(VectorStore):
    """Documents in a collection of VecDB, in a folder or on a server.

    .. code-block:: python

        from vecdb import VecDBClient
        from langchain_vecdb import VecDBVectorStore

        store = VecDBVectorStore(VecDBClient(path="./data"), "notes", embeddings)
        store.add_texts(["Chess is played on 64 squares."], [{"topic": "games"}])
        store.similarity_search("board games", k=3, filter={"topic": "games"})

    Args:
        client: Where the collection is. The store leaves it open.
        collection: Its name. It is made when the first documents come; until then every search finds nothing.
        embedding: Makes vectors of texts.
        metric: How nearness is measured, where the collection is made.
        text_field: The metadata field that holds the text of a document.
        collection_options: More arguments of :meth:`vecdb.VecDBClient.create_collection`.

    Metadata of documents is flat: null, numbers, text, truth values, date-times and lists of these.
    """

    def __init__(
        self,
        client: VecDBClient,
        collection: str,
        embedding: Embeddings,
        *,
        metric: str = "cosine",
        text_field: str = "page_content",
        collection_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.client = client
        self.collection = collection
        self.text_field = text_field
        self._embedding = embedding
        self._metric = metric
        self._options = dict(collection_options or {})

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    # Writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        batch_size: int = 1000,
        **kwargs: Any,
    ) -> list[str]:
        """Adds texts, or replaces those of the same ids; gives their ids."""
        texts = list(texts)
        vectors = self._embedding.embed_documents(texts)
        return self._write(texts, vectors, metadatas, ids, batch_size)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        batch_size: int = 1000,
        **kwargs: Any,
    ) -> list[str]:
        """See :meth:`add_texts`."""
        texts = list(texts)
        vectors = await self._embedding.aembed_documents(texts)
        return await run_in_executor(None, self._write, texts, vectors, metadatas, ids, batch_size)

    def _write(
        self,
        texts: list[str],
        vectors: Sequence[Sequence[float]],
        metadatas: Sequence[dict[str, Any]] | None,
        ids: Sequence[str | None] | None,
        batch_size: int,
    ) -> list[str]:
        for what, column in (("metadatas", metadatas), ("ids", ids)):
            if column and len(column) != len(texts):
                raise ValueError(f"{len(column)} {what} for {len(texts)} texts")
        keys = [id or str(uuid.uuid4()) for id in ids or [None] * len(texts)]
        if not texts:
            return keys
        rows = [self._fields(text, metadata) for text, metadata in zip(texts, metadatas or [{}] * len(texts))]
        columns: dict[str, Any] = {"vectors": vectors, "ids": keys, "metadata": rows, "batch_size": batch_size}
        try:
            self.client.upsert(self.collection, **columns)
        except NotFoundError:
            self._create(len(vectors[0]))
            self.client.upsert(self.collection, **columns)
        return keys

    def _fields(self, text: str, metadata: dict[str, Any] | None) -> dict[str, Any]:
        if metadata and self.text_field in metadata:
            raise ValueError(
                f"the metadata has a field {self.text_field!r}, where the text of a document is kept; "
                "rename it, or give the store another text_field"
            )
        return {**(metadata or {}), self.text_field: text}

    def _create(self, dimension: int) -> None:
        options = {"metric": self._metric, **self._options}
        options["fields"] = {self.text_field: "string", **options.get("fields", {})}
        try:
            self.client.create_collection(self.collection, dimension, **options)
        except AlreadyExistsError:
            # Another writer was first.
            pass

    def delete(
        self, ids: list[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool | None:
        """Deletes documents by id or by filter; without either, all. Ids that do not exist are no error."""
        try:
            if ids is not None:
                self.client.delete(self.collection, ids)
            else:
                self.client.delete(self.collection, filter=filter or {})
        except NotFoundError:
            pass
        return True

    # Reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by id, in the order of the ids; those that do not exist are left out."""
        try:
            records = self.client.get(self.collection, list(ids))
        except NotFoundError:
            return []
        return [self._document(record) for record in records if record is not None]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents nearest to a text.

        Further arguments are those of :meth:`vecdb.VecDBClient.search`, such as ``filter={"topic": "games"}``.
        """
        return self.similarity_search_by_vector(self._embedding.embed_query(query), k, **kwargs)

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """See :meth:`similarity_search`."""
        return await self.asimilarity_search_by_vector(await self._embedding.aembed_query(query), k, **kwargs)

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents nearest to a vector."""
        return [self._document(hit) for hit in self._hits(embedding, k, **kwargs)]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """See :meth:`similarity_search_by_vector`."""
        return await run_in_executor(None, self.similarity_search_by_vector, embedding, k, **kwargs)

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The ``k`` documents nearest to a text with their scores; larger is better."""
        return self._scored(self._embedding.embed_query(query), k, **kwargs)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """See :meth:`similarity_search_with_score`."""
        vector = await self._embedding.aembed_query(query)
        return await run_in_executor(None, self._scored, vector, k, **kwargs)

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """``k`` of the ``fetch_k`` nearest documents that differ from each other; the smaller ``lambda_mult``, the more."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """See :meth:`max_marginal_relevance_search`."""
        vector = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """See :meth:`max_marginal_relevance_search`."""
        hits = self._hits(embedding, max(k, fetch_k), with_vector=True, **kwargs)
        vectors = [hit["vector"] for hit in hits]
        chosen = maximal_marginal_relevance(np.array(embedding), vectors, lambda_mult, k) if hits else []
        return [self._document(hits[at]) for at in chosen]

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """See :meth:`max_marginal_relevance_search`."""
        return await run_in_executor(
            None, self.max_marginal_relevance_search_by_vector, embedding, k, fetch_k, lambda_mult, **kwargs
        )

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        # Scores of cosine and Jaccard reach 1, those of L2 and L1 lie between 0 and 1 already; a score of dot has no bounds.
        if self._metric == "dot":
            raise ValueError("scores of the metric dot have no bounds, so there is no relevance from 0 to 1; use cosine")
        return lambda score: max(0.0, min(1.0, score))

    def _hits(self, vector: Sequence[float], k: int, **kwargs: Any) -> SearchResults:
        try:
            return self.client.search(self.collection, vector, k, **kwargs)
        except NotFoundError:
            return SearchResults()

    def _scored(self, vector: Sequence[float], k: int, **kwargs: Any) -> list[tuple[Document, float]]:
        return [(self._document(hit), hit["score"]) for hit in self._hits(vector, k, **kwargs)]

    def _document(self, found: SearchResult | Record) -> Document:
        metadata = dict(found["metadata"])
        return Document(id=str(found["id"]), page_content=metadata.pop(self.text_field, ""), metadata=metadata)

    # Making

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        client: VecDBClient | None = None,
        collection: str = "langchain",
        **kwargs: Any,
    ) -> VecDBVectorStore:
        """A store with these texts in it; further arguments are those of the class."""
        store = cls(_given(client), collection, embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        client: VecDBClient | None = None,
        collection: str = "langchain",
        **kwargs: Any,
    ) -> VecDBVectorStore:
        """See :meth:`from_texts`."""
        store = cls(_given(client), collection, embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store


def _given(client: VecDBClient | None) -> VecDBClient:
    if client is None:
        raise ValueError('give a client, such as client=VecDBClient(path="./data")')
    return client
