"""Our side as a child process: JSON commands in, JSON answers out, every command timed from here."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processes import cpu_seconds


class RunnerError(RuntimeError):
    """The runner could not do a command."""


@dataclass(frozen=True)
class Timed:
    """An answer with what it cost, both measured outside the runner."""

    answer: dict[str, Any]
    seconds: float
    cpu_seconds: float


class RunnerClient:
    """One runner process; use as a context manager."""

    def __init__(self, binary: Path, work: Path) -> None:
        self.work = work
        self._out = work / "ids.npy"
        self._process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> RunnerClient:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def kill(self) -> None:
        """Ends the process as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def call(self, command: str, **arguments: Any) -> Timed:
        """Sends one command and waits for its answer."""
        assert self._process.stdin and self._process.stdout
        line = json.dumps({"command": command, **arguments}, default=str)
        cpu, start = cpu_seconds(self._process.pid), time.perf_counter()
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        seconds = time.perf_counter() - start
        if not reply:
            raise RunnerError(f"the runner ended during {line} (exit status {self._process.wait()})")
        answer = json.loads(reply)
        if "error" in answer:
            raise RunnerError(f"{line}: {answer['error']}")
        return Timed(answer, seconds, cpu_seconds(self._process.pid) - cpu)

    def search(self, command: str, **arguments: Any) -> tuple[Timed, np.ndarray]:
        """A command that writes ids: its answer and the ids."""
        timed = self.call(command, out=self._out, **arguments)
        return timed, np.load(self._out)
