"""Would a server gain by searching for several callers at once? Measures one server over loopback: exact searches of
60,000 x 784 one by one from 2 and 16 clients, and the same searches in batches, which is the most that taking waiting
searches together could give. Prints one JSON object.

    python3 bench/search_batching.py target/release/vecdb FOLDER_OF_FASHION_MNIST

Only the standard library is needed.
"""

import gzip
import http.client
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SECONDS = 5
QUERIES = 512


def queries(folder: Path) -> list[list[int]]:
    data = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    rows, columns = struct.unpack(">II", data[8:16])
    size = rows * columns
    return [list(data[16 + at * size : 16 + (at + 1) * size]) for at in range(QUERIES)]


def post(connection: http.client.HTTPConnection, path: str, body: str) -> None:
    connection.request("POST", path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {answer[:300]!r}")


def measure(address: str, path: str, bodies: list[str], each: int, clients: int) -> dict[str, float]:
    """Searches a second over all clients, each of which waits for its answer before it asks again."""
    end = time.monotonic() + SECONDS
    times: list[float] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(address)
        at = number
        while (begun := time.monotonic()) < end:
            post(connection, path, bodies[at % len(bodies)])
            times.append(time.monotonic() - begun)
            at += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    times.sort()
    return {
        "clients": clients,
        "searches_per_call": each,
        "searches_per_second": round(len(times) * each / took, 1),
        "call_p50_ms": round(times[len(times) // 2] * 1000, 1),
    }


def main() -> None:
    binary, folder = sys.argv[1], Path(sys.argv[2])
    searches = [{"vector": query, "limit": 10} for query in queries(folder)]
    loopback = "127.0.0.1:0"
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen(
            [binary, "serve", "--json", "--path", place, "--grpc", loopback, "--http", loopback]
            + ["--metrics", "off", "--set", "limits.queue_wait_ms_max=60000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            about = json.loads(server.stdout.readline())
            source = str(folder / "train-images-idx3-ubyte.gz")
            command = [binary, "import", source, "-c", "c", "--create", "--metric", "l2"]
            command += ["--index", "flat", "--row-ids", "--quiet", "--json", "--url", about["grpc"]]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            address, base = about["http"], "/v1/collections/c"
            connection = http.client.HTTPConnection(address)
            post(connection, f"{base}/compact", "{}")
            post(connection, f"{base}/search", json.dumps(searches[0]))
            singly = [json.dumps(search) for search in searches]
            results = [
                measure(address, f"{base}/search", singly, 1, clients) for clients in (2, 16)
            ]
            for clients, each in ((1, 8), (1, 16), (1, 64), (2, 16)):
                batches = [
                    json.dumps({"searches": searches[at : at + each]})
                    for at in range(0, QUERIES, each)
                ]
                results.append(measure(address, f"{base}/search/batch", batches, each, clients))
            print(json.dumps({"case": "search_batching", "rounds": results}, indent=1))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
