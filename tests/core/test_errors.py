"""Errors keep what matters on their way through another process."""

from __future__ import annotations

import pytest

from myna.core import errors
from myna.core.errors import MynaError, RemoteError


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, MynaError) and kind is not RemoteError
    ],
)
def test_status_type_code_and_exit_code_survive_the_way(kind: type[MynaError]) -> None:
    before = kind("what was asked", param="field", retry_after_s=1.5)
    after = RemoteError(before.info())
    for name in ("message", "param", "code", "status", "type", "retry_after_s", "exit_code"):
        assert getattr(after, name) == getattr(before, name)
    assert str(after) == "what was asked"


def test_a_code_of_its_own_keeps_the_exit_code_of_the_status() -> None:
    before = errors.InvalidRequest("no", code="odd")
    assert RemoteError(before.info()).exit_code == before.exit_code
