"""Reading one call; most is tested through `tool_calls`."""

from myna.text.call_reader import CallReader, Status


def test_arguments_wait_for_the_name() -> None:
    reader = CallReader()
    text = '{"arguments": {"a": 1}, "name": "f"} rest'
    assert reader.feed(text[:25], 0) == 25
    assert (reader.name, reader.take_arguments()) == (None, "")
    assert reader.feed(text, 25) == len(text) - len(" rest")
    assert (reader.status, reader.name) == (Status.DONE, "f")
    assert reader.take_arguments() == '{"a": 1}'
    assert reader.take_arguments() == ""


def test_what_is_no_object_goes_wrong_at_once() -> None:
    reader = CallReader()
    assert reader.feed(" [1]", 0) == 1
    assert reader.status is Status.MALFORMED


def test_an_unfinished_call_with_a_name_counts() -> None:
    reader = CallReader()
    reader.feed('{"name": "f", "arguments": {"a', 0)
    reader.finish()
    assert reader.status is Status.DONE
    assert reader.take_arguments() == '{"a'
