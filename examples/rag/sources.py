"""What is indexed: the Debian sample of this repository, or the text files of a folder, cut into passages."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE = Path(__file__).resolve().parents[1] / "debian-packages"
TEXT_FILES = {".md", ".txt", ".rst", ".adoc", ".org", ".tex"}
PASSAGE_CHARS_MAX = 900
FILE_BYTES_MAX = 8 << 20


@dataclass
class Passage:
    """A piece of a source, short enough for the model to read at once."""

    id: str
    text: str
    metadata: dict[str, Any]
    vector: np.ndarray | None = None


def sample() -> Iterator[Passage]:
    """The 5,000 Debian packages, with the vectors that come with them."""
    vectors = np.load(SAMPLE / "base.f16.npy").astype(np.float32)
    with gzip.open(SAMPLE / "packages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for vector, line in zip(vectors, lines):
            package = json.loads(line)
            name = package.pop("id")
            text = package.pop("synopsis")
            yield Passage(name, text, {"source": name, **package}, vector)


@dataclass
class File:
    """A text file with the mark that tells whether it changed."""

    source: str
    text: str
    digest: str

    def passages(self) -> Iterator[Passage]:
        """Its passages; their ids stay the same as long as the file's name does."""
        for number, (line, text) in enumerate(cut(self.text)):
            key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.source}#{number}"))
            yield Passage(key, text, {"source": self.source, "line": line, "digest": self.digest})


def files(folder: Path) -> Iterator[File]:
    """The text files of a folder and the folders in it; hidden ones and very large ones are left out."""
    for path in sorted(folder.rglob("*")):
        source = path.relative_to(folder).as_posix()
        if path.suffix.lower() not in TEXT_FILES or any(part.startswith(".") for part in Path(source).parts):
            continue
        if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
            raw = path.read_bytes()
            yield File(source, raw.decode("utf-8", errors="replace"), hashlib.sha256(raw).hexdigest()[:16])


def cut(text: str) -> Iterator[tuple[int, str]]:
    """Passages with the number of their first line: whole paragraphs as long as they fit, else whole sentences."""
    begin, passage = 1, ""
    for line, paragraph in _paragraphs(text):
        for piece in _pieces(paragraph):
            if passage and len(passage) + len(piece) + 1 > PASSAGE_CHARS_MAX:
                yield begin, passage
                passage = ""
            if not passage:
                begin = line
            passage = f"{passage} {piece}".strip()
    if passage:
        yield begin, passage


def sentences(text: str) -> list[str]:
    """The sentences of a passage."""
    return [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])", text) if sentence.strip()]


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    first, lines = 1, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            first = first if lines else number
            lines.append(line.strip())
        elif lines:
            yield first, " ".join(lines)
            lines = []
    if lines:
        yield first, " ".join(lines)


def _pieces(paragraph: str) -> Iterator[str]:
    if len(paragraph) <= PASSAGE_CHARS_MAX:
        yield paragraph
        return
    for sentence in sentences(paragraph):
        for at in range(0, len(sentence), PASSAGE_CHARS_MAX):
            yield sentence[at : at + PASSAGE_CHARS_MAX]
