"""The kinds of errors are those of the engine."""

from __future__ import annotations

import re

import pytest
import vecdb
from server import REPOSITORY
from vecdb._errors import error_of_kind


def kinds_of_the_engine() -> list[str]:
    text = (REPOSITORY / "crates/engine/src/error.rs").read_text(encoding="utf-8")
    return re.findall(r'row\(\s*ErrorKind::\w+,\s*"(\w+)"', text)


def test_every_kind_of_the_engine_has_its_class() -> None:
    kinds = kinds_of_the_engine()
    assert len(kinds) >= 13
    classes = {type(error_of_kind(kind, "message", None)) for kind in kinds}
    assert len(classes) == len(kinds)
    for error in classes:
        assert issubclass(error, vecdb.VecDBError) and error is not vecdb.VecDBError
        assert getattr(vecdb, error.__name__) is error
        assert error.__module__ == "vecdb"


@pytest.mark.parametrize("kind", [*kinds_of_the_engine(), "of a newer server"])
def test_an_error_says_what_and_when_to_try_again(kind: str) -> None:
    error = error_of_kind(kind, "the message", 0.25)
    assert (str(error), error.message, error.retry_after) == ("the message", "the message", 0.25)
    assert error.kind == (kind if kind in kinds_of_the_engine() else "unknown")


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(vecdb.InvalidArgumentError, ValueError)
    assert issubclass(vecdb.DeadlineExceededError, TimeoutError)
    assert issubclass(vecdb.IoError, OSError)
