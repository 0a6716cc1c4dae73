"""What is installed: the wheel that test.sh built, looked at and put into an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest
import vecdb

PACKAGE = Path(__file__).resolve().parents[1]

USE = """
import sys
from pathlib import Path
import vecdb
from vecdb import AsyncVecDBClient, VecDBClient

assert Path(vecdb.__file__).is_relative_to(sys.prefix), vecdb.__file__
with VecDBClient(path="data") as client:
    client.create_collection("c", dimension=2, metric="l2")
    client.upsert("c", [{"id": i, "vector": [i, 0.0], "metadata": {"n": i}} for i in range(10)])
    assert client.search("c", [7.2, 0.0], limit=2, filter={"n": {"$lt": 8}}).ids == [7, 6]
with VecDBClient(path="data", create=False) as client:
    assert client.count("c") == 10
print(vecdb.__version__, "numpy" in sys.modules)
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    given = os.environ.get("VECDB_WHEEL")
    if not given:
        raise FileNotFoundError("VECDB_WHEEL does not name the wheel to test: run ./test.sh, which builds it")
    return Path(given)


def test_one_wheel_serves_every_python(wheel: Path) -> None:
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, version, python, abi) == ("vecdb", vecdb.__version__, "cp310", "abi3")
    assert re.search("linux|macosx|win", platform)


def test_it_holds_the_package_with_its_types_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    held = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    sources = {f"vecdb/{file.name}" for file in (PACKAGE / "python/vecdb").iterdir() if file.suffix in (".py", ".pyi", ".typed")}
    assert {"vecdb/py.typed", "vecdb/_vecdb.pyi"} <= sources
    (compiled,) = held - sources
    assert re.fullmatch(r"vecdb/_vecdb\.(abi3\.so|pyd)", compiled)
    assert sources <= held
    assert "Requires-Python: >=3.10" in metadata
    needed = re.findall("(?m)^Requires-Dist: (.*)$", metadata)
    assert all("extra ==" in one for one in needed), needed


def test_it_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    python = str(place / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", str(wheel)]
    subprocess.run([python, *install], check=True, timeout=120)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [vecdb.__version__, "False"], done.stdout + done.stderr
