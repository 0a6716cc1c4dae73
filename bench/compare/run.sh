#!/bin/sh
# Prepares the peers (pinned, in bench/.venv) and our runner (release), then compares. Arguments go to compare.py.
set -eu
bench=$(cd "$(dirname "$0")/.." && pwd)
venv=$bench/.venv
requirements=$bench/compare/requirements.txt

if ! cmp -s "$requirements" "$venv/installed.txt"; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/installed.txt"
fi
(cd "$bench/.." && "${CARGO:-cargo}" build --release --quiet -p vecdb-bench-runner)
exec "$venv/bin/python" "$bench/compare/compare.py" "$@"
