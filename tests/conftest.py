"""What every test shares: REQUIRE=all, under which a skipped check is a failed one.

A check that this machine cannot run skips with a reason, and pytest's closing summary counts and
lists the reasons. Continuous integration runs with `make test REQUIRE=all`: nothing goes unchecked
there in silence.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
REQUIRE = os.environ.get("MYNA_REQUIRE", "")


def pytest_configure() -> None:
    """Refuse a word that means nothing."""
    if REQUIRE not in {"", "all"}:
        raise pytest.UsageError(f"MYNA_REQUIRE is {REQUIRE!r}; it can be 'all' or empty")


def _refuse_skip(report: Report) -> Report:
    """Turn a skip into a failure that quotes the skip's reason; leave expected failures alone."""
    if REQUIRE == "all" and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"REQUIRE=all allows no skip, but: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Watch over the skips of tests."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Watch over the skips of whole modules."""
    return _refuse_skip((yield))
