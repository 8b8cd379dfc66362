"""Forms with files: every way they may be broken has a typed refusal."""

from __future__ import annotations

import httpx
import pytest

from myna.core.errors import InvalidRequest
from myna.server.form import parse_form

B = b"edge"


def part(disposition: str, data: bytes = b"x") -> bytes:
    head = f"Content-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return b"--" + B + b"\r\n" + head + data + b"\r\n"


END = b"--" + B + b"--\r\n"


def test_fields_and_files_are_told_apart() -> None:
    data = bytes(range(256)) + b"\r\n--edg"
    body = (
        part('name="file"; filename="../../etc/passwd"', data)
        + part('name="model"', "ä".encode())
        + part('name="include[]"', b"a")
        + part('name="include[]"', b"b")
        + END
    )
    form = parse_form(body, B)
    assert form.fields == {"model": "ä", "include": "a,b"}
    assert form.files == {"file": data}


def test_files_of_a_list_stand_together() -> None:
    one, two = (part('name="image[]"; filename="a"', data) for data in (b"1", b"2"))
    form = parse_form(one + two + END, B)
    assert (form.lists, form.files) == ({"image": [b"1", b"2"]}, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "it ends too early"),
        (part('name="a"'), "it ends too early"),
        ((part('name="a"') + END)[:-10], "it ends too early"),
        (b"garbage", "its parts cannot be told apart"),
        (part('filename="a"') + END, "a part has no name"),
        (part('name="a"', b"\xff") + END, "'a' is not UTF-8"),
        (part('name="a"', b"x" * 65537) + END, "'a' is longer than 65536 bytes"),
        (part('name="a"') * 2 + END, "`a` more than once"),
        (part('name="f"; filename="f"') * 2 + END, "`f` more than once"),
        (b"".join(part(f'name="{i}"') for i in range(65)) + END, "more than 64 parts"),
    ],
)
def test_a_broken_form_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        parse_form(body, B)
    assert caught.value.code == "invalid_form"


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x", ""]
)
async def test_what_is_no_form_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(
        "/v1/audio/transcriptions", content=b"x", headers={"content-type": kind}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The body must be a form")
