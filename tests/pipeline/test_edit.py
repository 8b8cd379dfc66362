"""Edits from end to end, with a tiny model that makes noise of every picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from edit_pictures import file_of, mask_of, noise, pixels_of
from myna.core.errors import Unsupported
from myna.core.events import (
    Accepted,
    EditProgress,
    Event,
    Failed,
    Finished,
    PictureDelta,
)
from myna.core.messages import text_message
from myna.core.progress import silent
from myna.core.requests import ChatInput, EditInput, Request, RequestId, SamplingParams
from myna.diffusion.schedule import LIGHTNING, Schedule
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.pipeline.edit import EditService, habits_of
from myna.pipeline.edit_run import aligned, preview_steps
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service

OPTIONS = LoadOptions(model_id="tiny", dtype="float32")
PICTURE = noise(90, 60)
PNG = file_of(PICTURE)
SMALL_PX = 96 * 96

on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(folder: Path) -> AsyncIterator[EditService]:
    made = load_service(folder, OPTIONS, silent)
    assert isinstance(made, EditService)
    yield made
    await made.close()


def request(*, n: int = 1, seed: int = 1, deadline_s: float | None = None, **wishes) -> Request:
    wishes = {"pictures": (PNG,), "prompt": "x", "work_px": SMALL_PX, "num_steps": 2} | wishes
    return Request(
        id=RequestId("r"),
        input=EditInput(**wishes),
        sampling=SamplingParams(seed=seed),
        num_choices=n,
        deadline_s=deadline_s,
    )


async def ask(service: EditService, asked: Request) -> list[Event]:
    return [event async for event in service.generate(asked)]


def pictures(events: list[Event]) -> list[PictureDelta]:
    failed = [event.error.message for event in events if isinstance(event, Failed)]
    assert not failed
    return [e for e in events if isinstance(e, PictureDelta) and e.preview_idx is None]


@on_one_loop
async def test_an_edit_ends_in_a_picture_of_the_same_size(service: EditService) -> None:
    events = await ask(service, request())
    assert isinstance(events[0], Accepted)
    assert isinstance(events[1], EditProgress)
    (picture,) = pictures(events)
    assert pixels_of(picture.data).shape == (60, 90, 3)
    assert (picture.width, picture.height) == (90, 60)
    done = events[-1]
    assert isinstance(done, Finished)
    assert done.usage.media_tokens > 100
    assert done.usage.prompt_tokens > done.usage.media_tokens


@on_one_loop
async def test_a_seed_means_one_picture(service: EditService) -> None:
    one, same, other = [
        pictures(await ask(service, request(seed=seed)))[0].data for seed in (1, 1, 2)
    ]
    assert one == same != other


@on_one_loop
async def test_several_choices_are_several_pictures_and_the_seed_counts_on(
    service: EditService,
) -> None:
    both = pictures(await ask(service, request(n=2)))
    assert [picture.index for picture in both] == [0, 1]
    (second,) = pictures(await ask(service, request(seed=2)))
    assert both[1].data == second.data != both[0].data


@on_one_loop
async def test_everything_asked_for_has_an_effect(service: EditService) -> None:
    other = file_of(noise(50, 70, seed=1))
    made = [
        pictures(await ask(service, request(**wishes)))[0].data
        for wishes in (
            {},
            {"prompt": "y"},
            {"negative_prompt": "bad"},
            {"guidance": 2.0},
            {"num_steps": 3},
            {"pictures": (other, PNG)},
            {"pictures": (PNG, other, PNG)},
            {"work_px": 80 * 80},
        )
    ]
    assert len(set(made)) == len(made)


@on_one_loop
async def test_without_guidance_the_negative_prompt_has_no_effect(service: EditService) -> None:
    one, other = [
        pictures(await ask(service, request(guidance=1.0, negative_prompt=text)))[0].data
        for text in (" ", "bad")
    ]
    assert one == other


@on_one_loop
async def test_outside_of_the_mask_pixels_stay(service: EditService) -> None:
    mask = file_of(mask_of(90, 60, (20, 10, 60, 40)))
    (picture,) = pictures(await ask(service, request(mask=mask)))
    found, original = pixels_of(picture.data), np.asarray(PICTURE)
    outside = np.ones((60, 90), bool)
    outside[10:40, 20:60] = False
    assert (found[outside] == original[outside]).all()
    assert (found[~outside] != original[~outside]).mean() > 0.9


@on_one_loop
async def test_previews_come_before_the_end_and_are_smaller(service: EditService) -> None:
    events = await ask(service, request(num_previews=2, num_steps=6))
    shown = [event for event in events if isinstance(event, PictureDelta)]
    assert [picture.preview_idx for picture in shown] == [0, 1, None]
    assert shown[0].width < shown[-1].width


@on_one_loop
async def test_a_size_is_kept(service: EditService) -> None:
    (picture,) = pictures(await ask(service, request(size=(100, 70), file_format="jpeg")))
    assert (picture.width, picture.height, picture.drift) == (100, 70, None)
    assert picture.data.startswith(b"\xff\xd8")


@on_one_loop
async def test_two_edits_take_turns(service: EditService) -> None:
    both = await asyncio.gather(*(ask(service, request(seed=seed)) for seed in (1, 2)))
    assert all(isinstance(events[-1], Finished) for events in both)


@on_one_loop
async def test_hanging_up_stops_an_edit_between_blocks(service: EditService) -> None:
    events = service.generate(request(num_steps=200, work_px=256 * 256))
    async for event in events:
        if isinstance(event, EditProgress) and event.stage == "drawing":
            break
    await asyncio.wait_for(events.aclose(), 5)
    assert (await service.health()).num_running == 0
    assert pictures(await ask(service, request()))


@on_one_loop
async def test_time_left_is_told(service: EditService, monkeypatch) -> None:
    monkeypatch.setattr("myna.pipeline.edit_run.REPORT_S", 0.0)
    events = await ask(service, request(num_steps=3))
    drawing = [e for e in events if isinstance(e, EditProgress) and e.stage == "drawing"]
    assert drawing[0].remaining_s is None
    assert all(event.remaining_s is not None for event in drawing[1:])
    shares = [event.done for event in drawing]
    assert shares == sorted(shares)
    assert len(shares) == 9


@on_one_loop
async def test_a_deadline_ends_an_edit(service: EditService) -> None:
    events = await ask(service, request(num_steps=200, work_px=256 * 256, deadline_s=0.3))
    assert isinstance(events[-1], Failed)
    assert "stopped before it was finished" in events[-1].error.message


@on_one_loop
async def test_a_bad_request_fails_alone(service: EditService) -> None:
    (event,) = await ask(service, request(prompt=""))
    assert isinstance(event, Failed)
    assert (event.error.status, event.error.param) == (400, "prompt")
    (event,) = await ask(service, request(pictures=(b"no picture",)))
    assert isinstance(event, Failed)
    assert event.error.param == "image"


@on_one_loop
async def test_it_does_not_talk(service: EditService) -> None:
    asked = ChatInput(messages=(text_message("user", "hello"),))
    (event,) = await ask(service, Request(id=RequestId("r"), input=asked))
    assert isinstance(event, Failed)
    assert "edits pictures and answers nothing else" in event.error.message
    with pytest.raises(Unsupported, match="/v1/images/edits"):
        await service.render(asked)
    assert await service.detokenize(await service.tokenize("hello world")) == "hello world"


@on_one_loop
async def test_it_says_what_it_is(service: EditService) -> None:
    (card,) = await service.models()
    assert (card.id, card.inputs, card.outputs) == ("tiny", ("text", "image"), ("image",))
    assert "edit" in card.capabilities


@on_one_loop
async def test_too_many_waiting_edits_are_refused(service: EditService, monkeypatch) -> None:
    monkeypatch.setattr("myna.pipeline.edit.MAX_WAITING", 0)
    (event,) = await ask(service, request())
    assert isinstance(event, Failed)
    assert event.error.status == 429


@on_one_loop
async def test_a_fault_is_told_and_the_next_edit_works(service, monkeypatch) -> None:
    def fail(*_args: object) -> None:
        raise ValueError("odd")

    with monkeypatch.context() as patch:
        patch.setattr("myna.pipeline.edit_run.EditRun.encode_sources", fail)
        events = await ask(service, request())
        assert events[-1].error.code == "internal_error"
        patch.setattr("myna.pipeline.edit.make_plan", fail)
        events = await ask(service, request())
        assert "preparing the edit failed" in events[-1].error.message
    assert pictures(await ask(service, request()))


@on_one_loop
async def test_closing_ends_an_open_edit(folder: Path) -> None:
    service = load_service(folder, OPTIONS, silent)
    running = asyncio.create_task(ask(service, request(num_steps=200, work_px=256 * 256)))
    await asyncio.sleep(0.3)
    await asyncio.wait_for(service.close(), 10)
    last = (await running)[-1]
    assert isinstance(last, Failed)
    assert "being unloaded" in last.error.message


def test_a_pipeline_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_bytes(
        msgspec.json.encode({"_class_name": "StableDiffusionPipeline"})
    )
    with pytest.raises(Unsupported, match="'StableDiffusionPipeline'"):
        load_service(tmp_path, OPTIONS, silent)


@pytest.mark.parametrize(
    ("name", "steps", "guidance"),
    [
        ("Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors", 4, 1.0),
        ("qwen-image-lightning-8steps.safetensors", 8, 1.0),
        ("lightning.safetensors", 4, 1.0),
        ("style.safetensors", 40, 4.0),
    ],
)
def test_lightning_has_its_own_habits(name: str, steps: int, guidance: float) -> None:
    habits = habits_of(Schedule(), Path(name))
    assert (habits.num_steps, habits.guidance) == (steps, guidance)
    assert (habits.schedule == LIGHTNING) == ("lightning" in name.lower())


@pytest.mark.parametrize(
    ("count", "steps", "chosen"), [(0, 40, ()), (1, 4, (1,)), (3, 40, (9, 19, 29)), (3, 2, (0,))]
)
def test_previews_are_spread(count: int, steps: int, chosen: tuple[int, ...]) -> None:
    assert preview_steps(count, steps) == chosen


@pytest.mark.parametrize("is_undone", [True, False])
def test_drift_is_undone_if_that_is_wanted(is_undone: bool) -> None:
    base = np.kron(np.asarray(noise(24, 18)), np.ones((8, 8, 1), np.uint8))
    moved = np.roll(base, 3, axis=1)
    found, drift = aligned(base, moved, is_undone=is_undone)
    assert drift is not None
    assert abs(drift.right_px - 3) < 0.2
    assert drift.is_undone == is_undone
    assert (np.abs(found[:, 8:-8].astype(int) - base[:, 8:-8]).mean() < 5) == is_undone


@on_one_loop
async def test_a_model_in_bfloat16_draws_nearly_the_same(folder: Path) -> None:
    drawn = []
    for dtype in ("float32", "bfloat16"):
        options = LoadOptions(model_id="tiny", dtype=dtype)
        service = load_service(folder, options, silent)
        (picture,) = pictures(await ask(service, request(guidance=1.0)))
        drawn.append(pixels_of(picture.data).astype(float))
        await service.close()
    assert np.abs(drawn[0] - drawn[1]).mean() < 8


@on_one_loop
async def test_a_mask_and_a_size_of_another_aspect_go_together(service: EditService) -> None:
    mask = file_of(mask_of(90, 60, (20, 10, 60, 40)))
    (picture,) = pictures(await ask(service, request(mask=mask, size=(80, 120))))
    found = pixels_of(picture.data)
    expected = np.asarray(PICTURE.resize((80, 120), Image.Resampling.LANCZOS))
    assert (found[:15] == expected[:15]).all()
    assert (found[30:70, 25:50] != expected[30:70, 25:50]).mean() > 0.9
