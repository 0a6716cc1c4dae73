"""Pages of the documentation as programs."""

from __future__ import annotations

from pathlib import Path


def examples(page: Path) -> str:
    """All Python examples of a page as one program, with the line numbers of the page."""
    program, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            program.append("")
        else:
            program.append(line if inside else "")
    return "\n".join(program)
