"""The fixed questions, put to the model in the box: they fail when it gets worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from myna import embedded
from myna.core.messages import Message
from myna.core.progress import silent
from myna.evals import quick
from myna.evals.rows import ROWS
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service

QUESTIONS = Path(__file__).with_name("quick.msgpack")
MAX_BYTES = 1_500_000
FLOORS = Path(__file__).with_name("quick_floors.json")  # written by scripts/quick_floors.py


def test_every_row_is_asked_and_the_file_is_small() -> None:
    items = quick.read(QUESTIONS)
    assert {item.row for item in items} == {row.name for row in ROWS}
    assert QUESTIONS.stat().st_size <= MAX_BYTES


def test_questions_are_written_as_they_are_read(tmp_path: Path) -> None:
    items = quick.read(QUESTIONS)
    quick.write(tmp_path / "again", items)
    assert (tmp_path / "again").read_bytes() == QUESTIONS.read_bytes()


async def test_credit_is_the_right_share(scripted: Callable[..., object]) -> None:
    items = quick.read(QUESTIONS)
    wanted = {id(item.question): item.wanted for item in items}
    service = scripted(lambda asked: knows(asked, wanted))
    found = await quick.examine(service, items)  # type: ignore[arg-type]
    assert set(found.values()) == {1.0}
    deaf = await quick.examine(scripted(lambda asked: ""), items)  # type: ignore[arg-type]
    assert set(deaf.values()) == {0.0}


def test_floors_leave_room_for_rounding() -> None:
    items = quick.read(QUESTIONS)
    found = {quick.ALL: 0.9, "answer": 1.0, "sound_in_video": 0.5}
    floors = quick.floors(found, items)
    assert floors == {quick.ALL: 0.87, "answer": round(1 - 1.5 / 16, 3), "sound_in_video": 0.0}


def knows(asked: Message, wanted: dict[int, str]) -> str:
    return wanted[id(asked)]


async def test_the_model_in_the_box_is_as_good_as_it_was() -> None:
    folder = embedded.folder()
    assert FLOORS.exists() == (folder is not None), "floors are kept for the model in the box"
    if folder is None:
        return
    floors = json.loads(FLOORS.read_bytes())
    assert floors.keys() == {quick.ALL, *(row.name for row in ROWS)}
    service = load_service(folder, LoadOptions(model_id=embedded.NAME), silent)
    try:
        found = await quick.examine(service, quick.read(QUESTIONS))
    finally:
        await service.close()
    worse = {row: (found[row], floor) for row, floor in floors.items() if found[row] < floor}
    assert not worse, f"rows that fell under their floors: {worse}; all: {found}"
