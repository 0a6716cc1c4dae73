#!/bin/sh
# Prepares the peers (pinned, in bench/.venv) and our side (release), then compares. Arguments go to compare.py.
set -eu
bench=$(cd "$(dirname "$0")/.." && pwd)
venv=$bench/.venv
requirements=$bench/compare/requirements.txt

if ! cmp -s "$requirements" "$venv/installed.txt"; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/installed.txt"
fi

cd "$bench/.."
"${CARGO:-cargo}" build --release --quiet -p vecdb-bench-runner
# The server and the Python package are for the case server only, which is among those run by default.
server= others=
for argument in "$@"; do
    case $argument in
    server) server=wanted ;;
    flat_scan | flat_batch | hnsw | ivf | engine) others=wanted ;;
    esac
done
if [ -n "$server" ] || [ -z "$others" ]; then
    "${CARGO:-cargo}" build --release --quiet -p vecdb-cli --bin vecdb-server
    wheels=$bench/.work/wheels
    rm -rf "$wheels"
    "$venv/bin/maturin" build --release --quiet --manifest-path sdk/python/Cargo.toml --interpreter "$venv/bin/python" --out "$wheels"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$wheels"/*.whl
fi
exec "$venv/bin/python" "$bench/compare/compare.py" "$@"
