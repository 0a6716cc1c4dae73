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
# The server is for the case server only, the Python package for that and for filters; all are among those run by default.
server= python= others=
for argument in "$@"; do
    case $argument in
    server) server=wanted python=wanted ;;
    filters) python=wanted ;;
    flat_scan | flat_batch | hnsw | graph | ivf | quantizers | lsh | target_recall | diskann | engine | storage | small_memory) others=wanted ;;
    esac
done
if [ -z "$server$python$others" ]; then
    server=wanted python=wanted all=wanted
else
    all=
fi
if [ -n "$server" ]; then
    "${CARGO:-cargo}" build --release --quiet -p vecdb-cli --bin vecdb-server
fi
if [ -n "$python" ]; then
    wheels=$bench/.work/wheels
    rm -rf "$wheels"
    "$venv/bin/maturin" build --release --quiet --manifest-path sdk/python/Cargo.toml --interpreter "$venv/bin/python" --out "$wheels"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$wheels"/*.whl
fi
# The peer of the case diskann needs an older numpy, so an environment of its own.
case " $* " in
*" diskann "*) disk=wanted ;;
*) disk=$all ;;
esac
if [ -n "$disk" ]; then
    old=$bench/.venv-diskann
    if ! cmp -s "$bench/compare/requirements-diskann.txt" "$old/installed.txt"; then
        "${PYTHON:-python3}" -m venv "$old"
        "$old/bin/pip" install --quiet --disable-pip-version-check -r "$bench/compare/requirements-diskann.txt"
        cp "$bench/compare/requirements-diskann.txt" "$old/installed.txt"
    fi
    "${CARGO:-cargo}" build --release --quiet -p vecdb-cli --bin vecdb
fi
exec "$venv/bin/python" "$bench/compare/compare.py" "$@"
