"""The example does what its README says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(EXAMPLE), str(EXAMPLE.parents[1] / "sdk" / "python" / "tests")]

import sources  # noqa: E402
from model import Model  # noqa: E402
from server import Server  # noqa: E402


def rag(*arguments: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "rag.py"), *map(str, arguments)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def answer(*arguments: str | Path) -> list[dict[str, object]]:
    done = rag(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_model_agrees_with_the_vectors_of_the_sample() -> None:
    lines = (sources.SAMPLE / "asks.jsonl").read_text().splitlines()[:6]
    made = Model().vectors([json.loads(line)["text"] for line in lines])
    assert np.abs(made - np.load(sources.SAMPLE / "asks.npy")[:6]).max() < 1e-5


def test_questions_of_the_sample(tmp_path: Path) -> None:
    quotes = answer("--path", tmp_path, "--question", "play chess against the computer", "--filter", '{"section": "games"}')
    assert len(quotes) == 5
    assert all("chess" in str(quote["quote"]).lower() for quote in quotes[:3]), quotes
    again = rag("--path", tmp_path, "-k", "1", typed="keep my passwords safe\n\n")
    assert again.returncode == 0, again.stderr
    assert "5,000 passages" in again.stdout and "password" in again.stdout.lower()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "bread.md").write_text(
        "# Bread\n\nFlour, water, salt.\n\nThe oven must be very hot. Bake the loaf for forty minutes. Then let it cool.\n"
    )
    (folder / "deep" / "bees.txt").write_text("Bees dance to tell each other where flowers are.\n")
    (folder / "image.png").write_bytes(b"\x89PNG")
    return folder


def test_a_folder_is_quoted_with_file_and_line(tmp_path: Path, notes: Path) -> None:
    (bees,) = answer("--path", tmp_path / "db", "--documents", notes, "-k", "1", "-q", "how do insects communicate?")
    assert bees["source"] == "deep/bees.txt:1"
    (bread,) = answer("--path", tmp_path / "db", "--documents", notes, "-k", "1", "-q", "how long does a loaf bake?")
    assert bread["source"] == "bread.md:1"
    assert bread["quote"] == "Bake the loaf for forty minutes."


def test_changed_files_are_read_again_and_removed_ones_forgotten(tmp_path: Path, notes: Path) -> None:
    question = ("--path", tmp_path / "db", "--documents", notes, "-q", "how do insects communicate?")
    assert len(answer(*question)) == 2
    (notes / "deep" / "bees.txt").write_text("Ants leave a trail of scent for each other.\n")
    (notes / "bread.md").unlink()
    (only,) = answer(*question)
    assert only["quote"] == "Ants leave a trail of scent for each other."


def test_a_server_in_place_of_a_folder(tmp_path: Path, notes: Path) -> None:
    with Server(tmp_path) as server:
        (bees,) = answer("--url", server.address, "--documents", notes, "-k", "1", "-q", "how do insects communicate?")
    assert bees["source"] == "deep/bees.txt:1"


def test_passages_are_whole_sentences_within_the_limit() -> None:
    text = " ".join(f"Sentence number {i} says nothing." for i in range(200)) + "\n\nThe end."
    passages = list(sources.cut(text))
    assert len(passages) > 5
    assert all(len(passage) <= sources.PASSAGE_CHARS_MAX and passage.endswith(".") for _, passage in passages)
    assert " ".join(passage for _, passage in passages) == text.replace("\n\n", " ")
    assert list(sources.cut("x" * 2000))[0][1] == "x" * sources.PASSAGE_CHARS_MAX


def test_mistakes_are_told(tmp_path: Path) -> None:
    done = rag("--documents", tmp_path / "nowhere")
    assert done.returncode == 2 and "is not a folder" in done.stderr
    done = rag("--path", tmp_path / "db", "-q", "x", "--filter", '{"section": {"$like": "g"}}')
    assert done.returncode == 1 and "$like" in done.stderr and "Traceback" not in done.stderr
