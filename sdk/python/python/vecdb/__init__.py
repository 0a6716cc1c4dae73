"""VecDB: collections of vectors with metadata, and search for the nearest of them.

The same client works on a folder, inside this process, and on a server::

    from vecdb import VecDBClient

    client = VecDBClient(path="./data")         # embedded: no server
    client = VecDBClient("localhost:6333")      # remote

    client.create_collection("products", dimension=3, metric="cosine")
    client.upsert("products", vectors=[{"id": 1, "vector": [0.9, 0.1, 0.0], "metadata": {"price": 20}}])
    for hit in client.search("products", [1.0, 0.2, 0.0], limit=5, filter={"price": {"$lt": 50}}):
        print(hit.id, hit.score, hit.metadata)
"""

from ._aio import AsyncVecDBClient
from ._client import VecDBClient
from ._errors import (
    AlreadyExistsError,
    CancelledError,
    CorruptError,
    DeadlineExceededError,
    InvalidArgumentError,
    IoError,
    NotFoundError,
    PermissionDeniedError,
    PoisonedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
    VecDBError,
)
from ._results import (
    Advice,
    AttributeDict,
    CollectionInfo,
    Facet,
    Facets,
    HitGroup,
    IndexChoice,
    QueryResult,
    Record,
    RestoredCollections,
    Row,
    SearchResult,
    SearchResults,
    SearchStats,
    WriteResult,
    to_arrow,
    to_pandas,
)
from ._vecdb import __version__

__all__ = [
    "Advice",
    "AlreadyExistsError",
    "AsyncVecDBClient",
    "AttributeDict",
    "CancelledError",
    "CollectionInfo",
    "CorruptError",
    "DeadlineExceededError",
    "Facet",
    "Facets",
    "HitGroup",
    "IndexChoice",
    "InvalidArgumentError",
    "IoError",
    "NotFoundError",
    "PermissionDeniedError",
    "PoisonedError",
    "QueryResult",
    "Record",
    "ResourceExhaustedError",
    "RestoredCollections",
    "Row",
    "SearchResult",
    "SearchResults",
    "SearchStats",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "VecDBClient",
    "VecDBError",
    "WriteResult",
    "__version__",
    "to_arrow",
    "to_pandas",
]
