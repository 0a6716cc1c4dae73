"""What the server answers over HTTP is what its OpenAPI document says, whatever it is asked and by whom."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from server import Server
from vecdb import VecDBClient

KEYS = {"admin": "admin-key-of-the-made-up-requests", "read": "reader-key-of-the-made-up-requests"}


def make_up_requests(server: Server, folder: Path, examples: int, *options: str) -> None:
    """Runs schemathesis, whose checks say what a wrong answer is: a 5xx, a status or a body that is not in the document."""
    # A vector of the wrong dimension fits the schema and is refused: that is what the excluded check is about.
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", f"http://{server.http}/openapi.json"),
        *("--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(examples), "--seed", "7", "--request-timeout", "10", "--no-color", *options),
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    with urllib.request.urlopen(f"http://{server.http}/readyz", timeout=10) as answer:
        assert json.load(answer)["state"] == "ready"


def test_made_up_requests_get_what_the_document_promises(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        make_up_requests(server, tmp_path, 10)


@pytest.mark.parametrize("caller", ["stranger", "read", "admin"])
def test_made_up_requests_to_a_server_with_keys(tmp_path: Path, caller: str) -> None:
    """Who shows no key gets the 401 of the document, who may only read its 403; nothing of what they ask is done."""
    keys = [{"name": access, "key": key, "access": access} for access, key in KEYS.items()]
    with Server(tmp_path, config={"auth": {"keys": keys}}) as server:
        with VecDBClient(server.address, api_key=KEYS["admin"]) as client:
            client.create_collection("products", dimension=3, metric="cosine")
            client.upsert("products", vectors=[{"id": i, "vector": [1.0, i, 2.0]} for i in range(20)])
        shown = () if caller == "stranger" else ("--header", f"Authorization: Bearer {KEYS[caller]}")
        make_up_requests(server, tmp_path, 20 if caller == "admin" else 10, *shown)
        if caller != "admin":
            with VecDBClient(server.address, api_key=KEYS["admin"]) as client:
                assert [(found.name, found.points) for found in client.list_collections()] == [("products", 20)]
