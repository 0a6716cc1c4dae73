#!/usr/bin/env python3
"""Ask questions of the Debian package descriptions, or of any folder of text, offline.

    python rag.py --question "play chess against the computer"
    python rag.py --documents ~/notes
    python rag.py --documents ~/notes --url localhost:6333

An answer is what the sources say: the sentences nearest to the question, quoted, with where they stand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import sources
from model import Model
from vecdb import NotFoundError, VecDBClient, VecDBError

BATCH = 256


class Library:
    """Passages in a collection, and what is quoted from them."""

    def __init__(self, client: VecDBClient, collection: str, model: Model) -> None:
        self.client, self.collection, self.model = client, collection, model

    def open(self) -> int:
        """Makes the collection where there is none; gives the number of passages in it."""
        try:
            return self.client.count(self.collection)
        except NotFoundError:
            self.client.create_collection(
                self.collection,
                Model.dimension,
                "cosine",
                {"type": "hnsw", "m": 16, "ef_construction": 200},
                element="f16",
                fields={"text": "string", "source": "string", "line": "int", "digest": "string"},
            )
            return 0

    def add_sample(self) -> None:
        """Indexes the Debian sample, once."""
        if self.open() == 0:
            self._add(sources.sample())

    def add_folder(self, folder: Path) -> None:
        """Indexes what is new or changed in a folder, and forgets what is gone."""
        self.open()
        known = {
            record.metadata["source"]: record.metadata["digest"]
            for record in self.client.scroll(self.collection, filter={"digest": {"$exists": True}})
        }
        for file in sources.files(folder):
            if known.pop(file.source, None) != file.digest:
                self.client.delete(self.collection, filter={"source": file.source})
                self._add(file.passages())
                print(f"indexed {file.source}", file=sys.stderr)
        for gone in known:
            self.client.delete(self.collection, filter={"source": gone})

    def _add(self, passages: Iterable[sources.Passage]) -> None:
        batch: list[sources.Passage] = []

        def write() -> None:
            new = [passage.text for passage in batch if passage.vector is None]
            made = iter(self.model.vectors(new)) if new else iter(())
            self.client.upsert(
                self.collection,
                np.array([next(made) if passage.vector is None else passage.vector for passage in batch]),
                ids=[passage.id for passage in batch],
                metadata=[{**passage.metadata, "text": passage.text} for passage in batch],
            )
            batch.clear()

        for passage in passages:
            batch.append(passage)
            if len(batch) == BATCH:
                write()
        if batch:
            write()

    def answer(self, question: str, limit: int, filter: dict[str, object] | None = None) -> list[dict[str, object]]:
        """The passages nearest to a question, each with the sentence that is nearest."""
        (asked,) = self.model.vectors([question])
        found = self.client.search(self.collection, asked, limit, filter)
        quotes = []
        for hit in found:
            said = sources.sentences(hit.metadata["text"])
            nearest = int(np.argmax(self.model.vectors(said) @ asked)) if len(said) > 1 else 0
            place = hit.metadata["source"] + (f":{hit.metadata['line']}" if "line" in hit.metadata else "")
            quotes.append({"source": place, "score": hit.score, "quote": said[nearest], "passage": hit.metadata["text"]})
        return quotes


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        with VecDBClient(options.url, api_key=options.api_key) if options.url else VecDBClient(path=options.path) as client:
            library = Library(client, options.collection, Model())
            if options.documents is None:
                library.add_sample()
            else:
                library.add_folder(options.documents)
            if options.question is not None:
                show(library.answer(options.question, options.limit, options.filter), options.json)
            else:
                converse(library, options)
    except VecDBError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def converse(library: Library, options: argparse.Namespace) -> None:
    """Question after question, until there are none."""
    print(f"{library.client.count(library.collection):,} passages. Ask something, or press Ctrl-D.")
    while True:
        try:
            question = input("\n> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if question:
            show(library.answer(question, options.limit, options.filter), options.json)


def show(quotes: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(quotes, ensure_ascii=False, indent=2))
    elif not quotes:
        print("Nothing was found.")
    else:
        for number, quote in enumerate(quotes, 1):
            print(f'[{number}] "{quote["quote"]}"\n    {quote["source"]}  (score {quote["score"]:.3f})')


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask questions of the Debian package descriptions, or of any folder of text, offline.")
    parser.add_argument("--documents", type=folder, metavar="DIR", help="folder of text files (default: the Debian sample)")
    parser.add_argument("--question", "-q", help="answer this and end (default: ask for questions)")
    parser.add_argument("--limit", "-k", type=int, default=5, metavar="N", help="quotes at most (default: 5)")
    parser.add_argument("--filter", type=json.loads, metavar="JSON", help='only passages that match, such as \'{"section": "games"}\'')
    parser.add_argument("--path", type=Path, default=Path("rag-data"), metavar="DIR", help="folder of the database (default: rag-data)")
    parser.add_argument("--url", metavar="HOST:PORT", help="a server in place of the folder")
    parser.add_argument("--api-key", help="the key for the server")
    parser.add_argument("--collection", help="(default: documents, or debian for the sample)")
    parser.add_argument("--json", action="store_true", help="print quotes and passages as JSON")
    options = parser.parse_args(arguments)
    options.collection = options.collection or ("documents" if options.documents else "debian")
    return options


def folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


if __name__ == "__main__":
    sys.exit(main())
