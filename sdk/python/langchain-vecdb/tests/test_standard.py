"""The standard tests of LangChain, as they are, on a folder and on a server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from langchain_vecdb import VecDBVectorStore
from server import Server
from vecdb import VecDBClient

_names = itertools.count(1)


class TestEmbedded(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:
        with VecDBClient(path=tmp_path / "data") as client:
            yield VecDBVectorStore(client, "documents", self.get_embeddings())


class TestRemote(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, server: Server) -> Iterator[VectorStore]:
        with VecDBClient(server.address) as client:
            yield VecDBVectorStore(client, f"documents-{next(_names)}", self.get_embeddings())
