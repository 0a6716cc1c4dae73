"""The examples of docs/python.md and of the READMEs run as they stand; that of langchain-vecdb in its own tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import examples
from server import REPOSITORY, Server


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/search.md", "sdk/python/README.md"])
def test_examples_run(page: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = examples(REPOSITORY / page)
    assert "VecDBClient" in program
    program = program.replace("localhost:6333", server.address)
    exec(compile(program, page, "exec"), {"__name__": "__main__"})


def test_links_lead_somewhere() -> None:
    folders = ("sdk/python", "sdk/python/langchain-vecdb", "examples/rag")
    pages = [page for folder in folders for page in (REPOSITORY / folder).glob("*.md")]
    assert len(pages) >= 3
    for page in (REPOSITORY / "docs/python.md", REPOSITORY / "docs/search.md", *pages):
        text = page.read_text(encoding="utf-8")
        headings = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.+)$", text)}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in headings, f"{page}: {target}"
            elif not target.startswith("http"):
                assert (page.parent / target.split("#")[0]).exists(), f"{page}: {target}"
