"""What a case leaves behind: a JSON file with every round, and a table of the bars for people."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Bar:
    """A measured value and what it must reach. `kind` is "at least" or "at most"; without a `limit` it only informs."""

    name: str
    value: float | None
    kind: str
    limit: float | None

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        if self.value is None:
            return False
        return self.value >= self.limit if self.kind == "at least" else self.value <= self.limit

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "kind": self.kind, "limit": self.limit, "met": self.met}


def paired_ratio(ours: Sequence[float], peer: Sequence[float]) -> float | None:
    """The median of the ratios of each round; `None` where a round of the peer has no value."""
    ratios = [a / b for a, b in zip(ours, peer, strict=True) if b > 0]
    return median(ratios) if ratios and len(ratios) == len(peer) else None


def environment() -> dict[str, Any]:
    """Where and when the numbers were taken."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "load_average": os.getloadavg(),
    }


def write(folder: Path, case: str, about: dict[str, Any], result: dict[str, Any], bars: Sequence[Bar]) -> Path:
    """Writes `<case>.json`, replacing the one of the run before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case}.json"
    content = {"case": case, "environment": about, "bars": [bar.to_json() for bar in bars], **result}
    draft = path.with_suffix(".json.tmp")
    draft.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def table(bars: Sequence[Bar]) -> str:
    """The bars as aligned lines."""
    verdicts = {True: "met", False: "MISSED", None: ""}
    lines = []
    for bar in bars:
        value = "-" if bar.value is None else f"{bar.value:.4g}"
        limit = "" if bar.limit is None else f"{bar.kind} {bar.limit:g}"
        lines.append(f"  {bar.name:<62} {value:>9}  {limit:<14} {verdicts[bar.met]}".rstrip())
    return "\n".join(lines)


def _rounded(value: Any) -> Any:
    """Six significant digits: more would only be noise in a diff."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        # A knob of two numbers is a key as text: JSON has no others.
        return {_key(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def _key(key: Any) -> Any:
    return "/".join(map(str, key)) if isinstance(key, tuple) else key


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
