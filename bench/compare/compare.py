"""Compares VecDB with its peers and keeps the numbers. Run it through `run.sh`, which prepares what it needs."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import report
from cases import DATASETS, Settings, all_cases
from datasets import REPOSITORY, MissingData
from peers import GRAPH_PEERS
from processes import ServerError
from runner_client import RunnerError

BENCH = REPOSITORY / "bench"
RELEASE = REPOSITORY / "target" / "release"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"which to run: {', '.join(all_cases())} (default: all)")
    parser.add_argument("--runner", type=Path, default=RELEASE / "vecdb-bench-runner")
    parser.add_argument("--server", type=Path, default=RELEASE / "vecdb-server", help="the server of the case server")
    parser.add_argument("--rounds", type=int, default=5, help="paired rounds per measurement (default 5)")
    parser.add_argument("--builds", type=int, help="builds of graph, in the first rounds (default: one in every round)")
    parser.add_argument("--limit", type=int, help="use only the first rows of each data set (a trial, not a result)")
    parser.add_argument("--gib", type=float, default=2.0, help="memory of flat_scan in GiB (default 2)")
    parser.add_argument("--mixed-seconds", type=float, default=600.0, help="length of the overload of server (default 600)")
    parser.add_argument("--seed", type=int, help="seed of builds and rotation (default: a fresh one)")
    parser.add_argument("--rotated", action="store_true", help="hnsw also on Fashion-MNIST under a random rotation")
    parser.add_argument("--peers", nargs="+", choices=list(GRAPH_PEERS), default=list(GRAPH_PEERS), help="peers of hnsw")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, help="data sets of hnsw and ivf (default: all they know)")
    parser.add_argument("--work", type=Path, default=BENCH / ".work", help="folder for databases and files in between")
    parser.add_argument("--out", type=Path, help="folder of the results (default bench/results; of a trial, in --work)")
    parsed = parser.parse_args()
    if unknown := set(parsed.cases) - set(all_cases()):
        parser.error(f"no case is named {', '.join(sorted(unknown))}; there are {', '.join(all_cases())}")
    if parsed.builds is not None and parsed.builds < 1:
        parser.error(f"--builds {parsed.builds}: at least 1")
    if parsed.rounds < 1:
        parser.error(f"--rounds {parsed.rounds}: at least 1")
    return parsed


def is_trial(parsed: argparse.Namespace) -> bool:
    """Whether the numbers are of less than the full measurement."""
    return parsed.limit is not None or parsed.gib != 2.0 or parsed.mixed_seconds < 600.0 or parsed.rounds < 5


def settings(parsed: argparse.Namespace, work: Path) -> Settings:
    options = {"datasets": parsed.datasets} if parsed.datasets else {}
    return Settings(
        runner=parsed.runner,
        server=parsed.server,
        work=work,
        rounds=parsed.rounds,
        builds=parsed.builds or parsed.rounds,
        seed=parsed.seed if parsed.seed is not None else secrets.randbits(31),
        limit=parsed.limit,
        gib=parsed.gib,
        mixed_seconds=parsed.mixed_seconds,
        rotated=parsed.rotated,
        peers=parsed.peers,
        **options,
    )


def main() -> int:
    parsed = arguments()
    folder = parsed.out or (parsed.work / "results" if is_trial(parsed) else BENCH / "results")
    parsed.work.mkdir(parents=True, exist_ok=True)
    missed = 0
    with tempfile.TemporaryDirectory(dir=parsed.work) as work:
        chosen = settings(parsed, Path(work))
        for name in parsed.cases or all_cases():
            print(f"{name} (seed {chosen.seed})", flush=True)
            about = {**report.environment(), "trial": is_trial(parsed), "rounds": parsed.rounds, "seed": chosen.seed}
            for case, (result, bars) in all_cases()[name](chosen).items():
                path = report.write(folder, case, about, result, bars)
                print(f"{path}\n{report.table(bars)}", flush=True)
                missed += sum(bar.met is False for bar in bars)
    print("every bar is met" if missed == 0 else f"{missed} bars are missed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (MissingData, RunnerError, ServerError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
