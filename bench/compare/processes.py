"""Servers as child processes, and what the kernel knows about processes: processor time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 120
MEMORY_EVERY_SECONDS = 0.05


class ServerError(RuntimeError):
    """A server did not start, or ended by itself."""


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads so far, in steps of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def anonymous_bytes(pid: int) -> int:
    """Resident memory that is not backed by files."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


class Server:
    """A server process; use as a context manager."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self._told = log.with_suffix(".out")
        with log.open("wb") as errors, self._told.open("wb") as told:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=errors)
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def stop(self) -> None:
        """Ends it as an operator would."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, url: str, end: float) -> None:
        """Until a GET of `url` is answered well."""
        while self.check_time(end):
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(url, timeout=1).close()
                return
            time.sleep(0.02)

    def check_time(self, end: float) -> bool:
        if self.is_running and time.monotonic() < end:
            return True
        self.stop()
        raise ServerError(f"the server did not start:\n{self._log.read_text(errors='replace')[-2000:]}")


class VecdbServer(Server):
    """`vecdb-server` on a folder, at ports that the system chose."""

    def __init__(self, binary: Path, folder: Path, work: Path, **settings: object) -> None:
        command = [str(binary), "--json", "--path", str(folder)]
        chosen = {"listen.grpc": "127.0.0.1:0", "listen.http": "127.0.0.1:0", "listen.metrics": "off", **settings}
        for name, value in chosen.items():
            command += ["--set", f"{name}={value}"]
        super().__init__(command, work / "server.log")
        end = time.monotonic() + START_SECONDS_MAX
        told = None
        while told is None and self.check_time(end):
            with contextlib.suppress(json.JSONDecodeError):
                told = json.loads(self._told.read_text())
            time.sleep(0.02)
        self.grpc, self.http = told["grpc"], told["http"]
        self.wait_until_ready(f"http://{self.http}/readyz", end)


class MemoryWatch:
    """The most anonymous memory that a process has while this is entered."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples: list[int] = []

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(MEMORY_EVERY_SECONDS):
            try:
                self.samples.append(anonymous_bytes(self._pid))
            except OSError:
                return


class MemoryLimit:
    """Keeps a process, with the pages of files that it reads, within so many bytes while this is entered (control groups
    of either version; needs the right to make one)."""

    def __init__(self, pid: int, limit: int) -> None:
        old = Path("/sys/fs/cgroup/memory")
        self._old = old.is_dir()
        self._group = (old if self._old else Path("/sys/fs/cgroup")) / f"vecdb-bench-{pid}"
        self._pid, self._limit = pid, limit

    def __enter__(self) -> MemoryLimit:
        try:
            self._group.mkdir()
            self._write("memory.limit_in_bytes" if self._old else "memory.max", self._limit)
            self._write("cgroup.procs", self._pid)
        except OSError as error:
            raise ServerError(f"a control group that limits memory cannot be made: {error}") from error
        return self

    def peak_bytes(self) -> int:
        """The most so far."""
        return int((self._group / ("memory.max_usage_in_bytes" if self._old else "memory.peak")).read_text())

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._write("../cgroup.procs", self._pid)
        with contextlib.suppress(OSError):
            self._group.rmdir()

    def _write(self, name: str, value: int) -> None:
        (self._group / name).write_text(str(value))
