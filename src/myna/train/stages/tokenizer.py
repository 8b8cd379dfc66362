"""Stage `tokenizer`: write the files that cut text into tokens."""

from __future__ import annotations

from collections.abc import Callable

from myna.train.language.tokenizer import FOLDER, write_tokenizer
from myna.train.workshop import folder


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Write the tokenizer to the workshop; it takes seconds.

    Args:
        minutes: not looked at.
        report: takes lines of progress.
    """
    del minutes
    write_tokenizer(folder(FOLDER))
    report(f"wrote the tokenizer to {folder(FOLDER)}")
