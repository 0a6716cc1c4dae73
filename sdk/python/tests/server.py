"""The real server, started for a test and stopped after it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parents[3]
START_SECONDS_MAX = 20


def program_file() -> Path:
    """The program ``vecdb``: what ``VECDB_PROGRAM`` names, else where cargo puts it."""
    built = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "vecdb"
    program = Path(os.environ.get("VECDB_PROGRAM") or built)
    if not program.exists():
        raise FileNotFoundError(f"{program} is not there: build it with `cargo build -p vecdb-cli`, or run ./test.sh")
    return program


class Server:
    """``vecdb serve`` on a folder, at ports that the system chose."""

    def __init__(
        self,
        folder: Path,
        *settings: str,
        config: dict[str, object] | None = None,
        port: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._told, self._log = folder / "server.json", folder / "server.log"
        program = str(program_file())
        ports = [f"listen.grpc=127.0.0.1:{port}", "listen.http=127.0.0.1:0", "listen.metrics=127.0.0.1:0"]
        assignments = [*ports, f"snapshots.location={folder / 'snapshots'}", *settings]
        arguments = [program, "serve", "--json", "--path", str(folder / "data")]
        if config is not None:
            file = folder / "server.yaml"
            # JSON is YAML.
            file.write_text(json.dumps(config))
            arguments += ["--config", str(file)]
        for assignment in assignments:
            arguments += ["--set", assignment]
        with self._told.open("wb") as told, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                arguments, stdout=told, stderr=log, env={**os.environ, **(environment or {})}
            )
        told = self._wait_for_addresses()
        self.address, self.http = told["grpc"], told["http"]

    def _wait_for_addresses(self) -> dict[str, str]:
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(json.JSONDecodeError):
                addresses: dict[str, str] = json.loads(self._told.read_text())
                return addresses
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')}")

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """Ends it as an operator would."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
