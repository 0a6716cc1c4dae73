"""diskannpy as a child process, in an environment of its own (it needs an older numpy): JSON commands in, JSON answers out,
every command timed by who sends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import diskannpy
import numpy as np


class Peer:
    """One index in a folder."""

    def __init__(self) -> None:
        self._index: Any = None

    def build(self, base: str, folder: str, r: int, l_build: int, search_gib: float, build_gib: float, threads: int) -> dict[str, Any]:
        Path(folder).mkdir(parents=True)
        diskannpy.build_disk_index(
            np.load(base), "l2", folder, l_build, r, search_gib, build_gib, threads, 0, np.float32
        )
        return {"bytes": sum(path.stat().st_size for path in Path(folder).iterdir())}

    def open(self, folder: str, cached: int, threads: int) -> dict[str, Any]:
        self._index = diskannpy.StaticDiskIndex(folder, threads, cached)
        return {}

    def search(self, queries: str, out: str, k: int, complexity: int, threads: int, beam: int) -> dict[str, Any]:
        asked = np.load(queries)
        found = self._index.batch_search(asked, k, complexity, threads, beam)
        np.save(out, found.identifiers.astype(np.int64))
        return {"queries": len(asked)}


def main() -> None:
    peer = Peer()
    # The library prints to the output that answers would go to.
    answers = open(int(sys.argv[1]), "w", encoding="utf-8")
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(peer, request.pop("command"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
