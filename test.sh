#!/usr/bin/env bash
# Runs every test: those of the Rust workspace, then those of the Python package in a virtual environment of its own.
# Needs what README.md lists; says what is missing.
set -euo pipefail

# A relative folder is meant from where this is called, but what is run here runs in several folders.
case ${CARGO_TARGET_DIR:-} in
    '' | /*) ;;
    *) export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")"

# newer_or_same WANTED FOUND
newer_or_same() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

check_rust() {
    local wanted found tool
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)
    for tool in rustc cargo; do
        if ! command -v "$tool" >/dev/null; then
            printf '%s is not there: install Rust %s or newer from https://rustup.rs\n' "$tool" "$wanted"
            return 1
        fi
    done
    found=$(rustc --version | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
    if ! newer_or_same "$wanted" "$found"; then
        printf 'rustc is %s, but %s or newer is needed: run `rustup update stable`\n' "${found:-unknown}" "$wanted"
        return 1
    fi
    if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
        printf 'there is no C compiler (cc, gcc or clang): install one from the packages of your system\n'
        return 1
    fi
    printf 'rustc %s, %s or newer is needed\n' "$found" "$wanted"
}

check_rust
case "${1:-all}" in
    check) ;;
    rust) cargo test --workspace ;;
    python) sdk/python/test.sh ;;
    all)
        cargo test --workspace
        # Built by the line above, for the end-to-end tests.
        VECDB_PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/debug/vecdb sdk/python/test.sh
        ;;
    *)
        printf 'usage: %s [all|rust|python|check]\n' "$0"
        exit 2
        ;;
esac
