"""Cuts the sample in this folder from the full set of Debian package embeddings.

The sample: 5,000 packages (the 20 nearest of each of the 24 questions, and of each filtered question the
20 nearest that pass its filter; the rest drawn at random), all 24 questions, 100 of the 1,000 held-out
queries, and their exact nearest neighbours within the sample. Same input, same seed: same rows.

Needs numpy. Usage: cut.py FULL_SET_DIR [OUT_DIR]
FULL_SET_DIR holds base.f16.npy, base.jsonl, asks.npy, asks.jsonl, queries.npy, queries.jsonl.
"""

import gzip
import json
import pathlib
import sys

import numpy as np

SEED = 20240607
ROWS = 5_000
QUERIES = 100
FORCED_PER_ASK = 20
TRUTH_K = 100
MATCHES_MIN = 10
FIELDS = [
    "id", "synopsis", "section", "priority", "architecture", "installed_size_kb",
    "download_bytes", "dependencies", "essential", "maintainer", "tags",
]
# Questions with a condition, as the quickstart asks them.
FILTERS = {
    "play chess against the computer": {"section": "games", "installed_size_kb": {"$lt": 20000}},
    "secure shell client": {"section": {"$in": ["net", "utils"]}, "tags": "interface::commandline"},
    "back up my home directory to another machine": {"tags": "admin::backup", "dependencies": {"$lte": 6}},
}
COMPARE = {
    "$eq": lambda a, b: a == b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$in": lambda a, b: a in b,
}


def matches(row, condition):
    """Whether a row passes a filter; a list passes where any of its elements does."""
    for field, test in condition.items():
        value = row[field]
        elements = value if isinstance(value, list) else [value]
        for operator, literal in (test if isinstance(test, dict) else {"$eq": test}).items():
            if not any(COMPARE[operator](element, literal) for element in elements):
                return False
    return True


def read_jsonl(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_jsonl(path, rows):
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
    # No time stamp and no name in the gzip header: the same rows give the same bytes.
    path.write_bytes(gzip.compress(text, 9, mtime=0) if path.suffix == ".gz" else text)


def unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(similarity, count):
    """Row numbers by falling similarity, ties by smaller row number."""
    return np.argsort(-similarity, kind="stable")[:count]


def write_vecs(path, table, element):
    width = np.full((len(table), 1), table.shape[1], "<i4")
    path.write_bytes(np.hstack([width, np.ascontiguousarray(table, element).view("<i4")]).tobytes())


def choose_rows(base, packages, asks, texts, rng):
    forced = set()
    for ask, text in zip(unit(asks), texts):
        similarity = base @ ask
        forced.update(nearest(similarity, FORCED_PER_ASK).tolist())
        if text in FILTERS:
            passing = np.array([matches(row, FILTERS[text]) for row in packages])
            best = nearest(np.where(passing, similarity, -np.inf), FORCED_PER_ASK)
            forced.update(best[passing[best]].tolist())
    others = np.setdiff1d(np.arange(len(base)), sorted(forced))
    drawn = rng.choice(others, ROWS - len(forced), replace=False)
    return np.sort(np.concatenate([np.array(sorted(forced)), drawn]))


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    full = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else pathlib.Path(__file__).resolve().parent
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)

    base_stored = np.load(full / "base.f16.npy")
    packages = read_jsonl(full / "base.jsonl")
    asks = np.load(full / "asks.npy").astype("<f4")
    texts = [row["text"] for row in read_jsonl(full / "asks.jsonl")]
    assert len(base_stored) == len(packages) and len(asks) == len(texts)
    assert set(FILTERS) <= set(texts)

    rows = choose_rows(unit(base_stored), packages, asks, texts, rng)
    sample = [{field: packages[row][field] for field in FIELDS} for row in rows]
    chosen = np.sort(rng.choice(len(read_jsonl(full / "queries.jsonl")), QUERIES, replace=False))
    queries_stored = np.load(full / "queries.npy")[chosen].astype("<f2")
    held_out = read_jsonl(full / "queries.jsonl")

    np.save(out / "base.f16.npy", base_stored[rows].astype("<f2"))
    write_jsonl(out / "packages.jsonl.gz", sample)
    np.save(out / "asks.npy", asks)
    asked = []
    for text in texts:
        asked.append({"text": text})
        if text in FILTERS:
            count = sum(matches(row, FILTERS[text]) for row in sample)
            assert count >= MATCHES_MIN, (text, count)
            asked[-1]["filter"] = FILTERS[text]
            print(f"{count:5} rows pass the filter of {text!r}")
    write_jsonl(out / "asks.jsonl", asked)
    np.save(out / "queries.f16.npy", queries_stored)
    write_jsonl(out / "queries.jsonl", [{"id": held_out[i]["id"], "text": held_out[i]["synopsis"]} for i in chosen])

    # Truth on the values as stored: float16 base rows and float16 queries.
    similarity = unit(queries_stored) @ unit(base_stored[rows]).T
    order = np.stack([nearest(line, TRUTH_K) for line in similarity])
    write_vecs(out / "groundtruth_cosine_top100.ivecs", order, "<i4")
    write_vecs(out / "groundtruth_cosine_top100_dist.fvecs", 1 - np.take_along_axis(similarity, order, 1), "<f4")
    total = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    print(f"{len(rows)} rows, {len(chosen)} queries, {len(texts)} questions, {total / 1e6:.2f} MB in {out}")


if __name__ == "__main__":
    main()
