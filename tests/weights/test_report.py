"""Reports and lists of names, as people read them."""

from __future__ import annotations

from itertools import count

from myna.weights.report import LoadReport, some_names


def test_a_report_fits_on_a_line() -> None:
    report = LoadReport(
        checkpoint="m.gguf",
        num_tensors=3,
        num_parameters=1_234_567,
        num_bytes=2_500_000_000,
        dtypes={"Q4_0": 2, "F32": 1},
        ignored={"a": "computed", "b": "computed", "c": "of another stage"},
        tied={},
    )
    assert report.summary() == (
        "3 tensors (2 Q4_0, 1 F32), 1,234,567 parameters, 2.50 GB; 2 ignored: computed; "
        "1 ignored: of another stage"
    )


def test_the_first_few_names_are_written() -> None:
    assert some_names([]) == ""
    assert some_names(["a", "b", "c", "d"]) == "'a', 'b', 'c', 'd'"
    assert some_names(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c', 'd', …"


def test_an_endless_list_is_cut() -> None:
    assert some_names(str(number) for number in count()) == "'0', '1', '2', '3', …"


def test_names_that_would_harm_a_terminal_are_spelled_out() -> None:
    assert some_names(["\x1b[2J", "\ud800"]) == r"'\x1b[2J', '\ud800'"
