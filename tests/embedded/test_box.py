"""What comes in the box is whole, small and answers; a copy without it holds nothing by halves.

Nothing here is skipped: without the model, that is checked instead.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from myna import embedded
from myna.cli.commands.tour import STOPS, Stop
from myna.cli.main import run
from myna.core.events import AudioDelta, Failed, TextDelta
from myna.core.messages import text_message
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, Speech
from myna.core.settings import FETCHED_MODEL, read_settings
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service
from myna.text import tokenizer_files
from myna.train import export

PLACE = Path(embedded.__file__).parent
MAX_BYTES = 15_500_000  # of all that git keeps, once
MAX_TOUR_BYTES = 400_000
NOT_FOUND = 3  # the exit code
FILES = {
    "README.md",
    "chat_template.json",
    "config.json",
    "curves.svg",
    "evaluation.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "quantization.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "video_preprocessor_config.json",
}
SHARDS = ("ears", "eyes", "thinker", "talker", "code2wav")


def boxed_files() -> list[Path]:
    return [path for path in PLACE.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_the_box_is_full_or_empty() -> None:
    folder = embedded.folder()
    if folder is None:
        assert [path.name for path in boxed_files()] == ["__init__.py"]
        return
    shards = {f"model-{i:05d}-of-00005-{name}.safetensors" for i, name in enumerate(SHARDS, 1)}
    assert {path.name for path in folder.iterdir()} == FILES | shards
    assert sum(path.stat().st_size for path in boxed_files()) <= MAX_BYTES


def test_declining_gains_what_the_shares_of_training_took() -> None:
    folder = embedded.folder()
    if folder is None:
        return
    told = json.loads((folder / "generation_config.json").read_text())
    assert told == json.loads(json.dumps(export.generation(folder)))
    ((ids, value),) = told["sequence_bias"]
    assert tokenizer_files.from_folder(folder).encode("<|im_start|>assistant\ni") == ids
    assert value == pytest.approx(math.log(16), abs=0.01)  # 32 of 100 to 2


def test_the_usual_model_is_what_the_box_says() -> None:
    name = FETCHED_MODEL if embedded.folder() is None else embedded.NAME
    assert read_settings({}).default_model == name


def test_the_tour_has_all_its_files() -> None:
    place = PLACE / "tour"
    assert place.exists() == (embedded.folder() is not None)
    if not place.exists():
        return
    stops = msgspec.json.decode((place / STOPS).read_bytes(), type=tuple[Stop, ...])
    assert sum(stop.is_spoken for stop in stops) >= 2
    named = {name for stop in stops for name in (*stop.files, stop.shown) if name is not None}
    assert named | {STOPS} == {path.name for path in place.iterdir()}
    assert sum(path.stat().st_size for path in place.iterdir()) <= MAX_TOUR_BYTES


@pytest.mark.parametrize("kv_int8", [False, True])
async def test_it_answers_aloud(kv_int8: bool) -> None:
    folder = embedded.folder()
    if folder is None:
        return
    service = load_service(folder, LoadOptions(model_id=embedded.NAME, kv_int8=kv_int8), silent)
    text, sound_s = "", 0.0
    request = Request(
        id=RequestId("box"),
        input=ChatInput(messages=(text_message("user", "what is two plus two"),)),
        sampling=SamplingParams(temperature=0.0, max_tokens=24),
        speech=Speech(),
    )
    try:
        async for event in service.generate(request):
            assert not isinstance(event, Failed), event
            if isinstance(event, TextDelta):
                text += event.text
            if isinstance(event, AudioDelta):
                sound_s += len(event.pcm) / 2 / event.rate_hz
    finally:
        await service.close()
    assert text == "two plus two is four"
    assert 0.5 < sound_s < 6


def test_the_tour_is_given_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["tour", "-o", str(tmp_path)])
    if embedded.folder() is None:
        assert code == NOT_FOUND
        return
    assert code == 0
    told = capsys.readouterr().out
    stops = msgspec.json.decode((PLACE / "tour" / STOPS).read_bytes(), type=list[Stop])
    assert all(stop.title in told for stop in stops)
    assert len(list(tmp_path.glob("*.wav"))) == sum(stop.is_spoken for stop in stops)
