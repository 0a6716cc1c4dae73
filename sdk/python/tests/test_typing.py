"""The annotations hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]

USE = '''
from vecdb import Advice, AsyncVecDBClient, Facets, SearchResults, VecDBClient, WriteResult

client = VecDBClient(path="data")
results: SearchResults = client.search("c", [1.0], limit=5, filter={"a": {"$lt": 5}})
written: WriteResult = client.upsert("c", [{"id": 1, "vector": [1.0]}], progress=lambda done, of: None)
facets: Facets = client.facets("c", "a", limit=5)
similar: SearchResults = client.recommend("c", [1, [1.0]], ["x"], strategy="best_score", group_by="a")
advice: Advice = client.advise("c", target_recall=0.95, memory=2_000_000_000, limit=10)
names: list[str] = [summary["name"] for summary in client.list_collections()]

async def use(client: AsyncVecDBClient) -> int:
    async for record in client.scroll("c"):
        print(record.id)
    return await client.count("c")
'''

MISUSE = 'from vecdb import VecDBClient\nVecDBClient(path="data").search("c", [1.0], limit="5")\n'


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy")
    return subprocess.run(
        [sys.executable, "-m", "mypy", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=300
    )


def test_the_package_and_its_use_pass_mypy_strict(tmp_path: Path) -> None:
    use = tmp_path / "use.py"
    use.write_text(USE)
    done = mypy("--strict", "python/vecdb", str(use))
    assert done.returncode == 0, done.stdout


def test_the_langchain_package_passes_as_well() -> None:
    done = mypy("--strict", "--config-file", "langchain-vecdb/pyproject.toml", "langchain-vecdb/langchain_vecdb")
    assert done.returncode == 0, done.stdout


def test_misuse_does_not(tmp_path: Path) -> None:
    misuse = tmp_path / "misuse.py"
    misuse.write_text(MISUSE)
    done = mypy("--strict", str(misuse))
    assert done.returncode == 1 and "arg-type" in done.stdout, done.stdout
