"""What the server answers over HTTP is what its OpenAPI document says, whatever it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from server import Server
from vecdb import VecDBClient


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_made_up_requests_get_what_the_document_promises(tmp_path: Path, filled: bool) -> None:
    with Server(tmp_path) as server:
        if filled:
            with VecDBClient(server.address) as client:
                client.create_collection("products", dimension=3, metric="cosine")
                client.upsert("products", vectors=[{"id": i, "vector": [1.0, i, 2.0]} for i in range(20)])
        address = f"http://{server.http}"
        # A vector of the wrong dimension fits the schema and is refused: that is what the excluded check is about.
        command = [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{address}/openapi.json"),
            *("--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "10", "--seed", "7", "--request-timeout", "10", "--no-color"),
        ]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
            assert json.load(answer)["state"] == "ready"
