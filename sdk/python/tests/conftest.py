"""Databases for the tests: each in a folder of its own, one server for all tests that need one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server import Server
from vecdb import VecDBClient

_names = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without keys on a free port of this machine."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=["embedded", "remote"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], VecDBClient]]:
    """Makes clients of one database, in a folder and behind an address. A folder takes one at a time."""
    clients: list[VecDBClient] = []

    def make() -> VecDBClient:
        if request.param == "embedded":
            client = VecDBClient(path=tmp_path / "data", snapshots=tmp_path / "snapshots")
        else:
            client = VecDBClient(request.getfixturevalue("server").address)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[[], VecDBClient]) -> VecDBClient:
    """A client, of a folder and of a server in turn."""
    return connect()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[VecDBClient]:
    """A client of a folder."""
    with VecDBClient(path=tmp_path / "data") as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name that no other collection of the server has."""
    return f"collection-{next(_names)}"
