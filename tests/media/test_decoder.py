from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from myna.core.errors import InvalidRequest, MynaError, Overloaded, TooLarge, Unavailable
from myna.media.audio import decode_audio
from myna.media.decoder import Decoder, DecoderLimits
from myna.media.frame_choice import ClipOptions
from myna.media.jobs import ArrayInfo, Decoded, Ready
from myna.media.limits import MediaBudget, MediaLimits, Spent
from myna.media.video import decode_video

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)


def children() -> set[int]:
    """List the processes of this one, dead ones included."""
    own = os.getpid()
    tasks = Path(f"/proc/{own}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture
def fresh() -> Iterator[Decoder]:
    decoder = Decoder(num_children=1)
    yield decoder
    decoder.close()


def test_what_comes_back_equals_decoding_here(
    decoder: Decoder, write_image, write_sound, write_video
) -> None:
    picture = decoder.image(write_image(PIXELS), MediaBudget())
    assert np.array_equal(picture.pixels, PIXELS)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 5_000))
    data = write_sound(noise, form="flac", codec="flac", rate_hz=22_050)
    sound, expected = decoder.audio(data, MediaBudget()), decode_audio(data, MediaBudget())
    assert np.array_equal(sound.samples, expected.samples)
    assert sound.rate_hz == expected.rate_hz
    data, options = write_video(20, with_sound=True), ClipOptions(factor=28, with_sound=True)
    clip, wanted = (
        decoder.video(data, options, MediaBudget()),
        decode_video(data, options, MediaBudget()),
    )
    assert np.array_equal(clip.frames, wanted.frames)
    assert (clip.times_s, clip.sample_fps) == (wanted.times_s, wanted.sample_fps)
    assert clip.sound is not None
    assert wanted.sound is not None
    assert np.array_equal(clip.sound.samples, wanted.sound.samples)


def test_the_budget_counts_on_from_file_to_file(decoder: Decoder, write_image) -> None:
    budget = MediaBudget(MediaLimits(max_total_px=1000))
    decoder.image(write_image(PIXELS), budget)
    assert (budget.spent.items, budget.spent.image_px) == (1, 600)
    with pytest.raises(MynaError, match="the request's pictures are") as caught:
        decoder.image(write_image(PIXELS), budget)
    assert (caught.value.status, caught.value.code) == (413, "media_too_large")


def test_errors_keep_their_kind_across_the_process(decoder: Decoder) -> None:
    with pytest.raises(MynaError) as caught:
        decoder.image(b"not a picture", MediaBudget())
    assert (caught.value.status, caught.value.code) == (400, "unsupported")


def test_many_threads_share_few_children(write_image) -> None:
    decoder = Decoder(num_children=2)
    before = children()
    with ThreadPoolExecutor(8) as pool:
        pictures = [
            np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            for seed in range(40)
        ]
        answers = pool.map(lambda p: decoder.image(write_image(p), MediaBudget()), pictures)
        assert all(
            np.array_equal(answer.pixels, picture)
            for answer, picture in zip(answers, pictures, strict=True)
        )
    assert len(children() - before) == 2
    decoder.close()
    assert children() == before


def test_a_child_that_was_killed_is_replaced(fresh: Decoder, write_image) -> None:
    before = children()
    fresh.image(write_image(PIXELS), MediaBudget())
    (pid,) = children() - before
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
    assert np.array_equal(fresh.image(write_image(PIXELS), MediaBudget()).pixels, PIXELS)
    assert pid not in children()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        (signal.SIGKILL, Unavailable, "was ended; try again"),
        (signal.SIGSEGV, InvalidRequest, "the file is damaged and cannot be decoded"),
        (signal.SIGXCPU, TooLarge, "takes longer than 20 s of computing, or 30 s in all"),
    ],
)
def test_a_child_that_dies_at_work_is_explained(
    fresh: Decoder, write_image, name: signal.Signals, kind: type[MynaError], words: str
) -> None:
    before = children()
    fresh.image(write_image(PIXELS), MediaBudget())
    (pid,) = children() - before
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.1, lambda: [os.kill(pid, s) for s in (name, signal.SIGCONT)]).start()
    with pytest.raises(kind, match=words):
        fresh.image(write_image(PIXELS), MediaBudget())
    assert fresh.image(write_image(PIXELS), MediaBudget()).pixels.shape == PIXELS.shape


def test_a_child_that_hangs_is_ended_in_time(write_image, monkeypatch) -> None:
    monkeypatch.setattr("myna.media.decoder.GRACE_S", 0.1)
    decoder = Decoder(num_children=1, limits=DecoderLimits(wall_s=0.3))
    before = children()
    decoder.image(write_image(PIXELS), MediaBudget())
    (pid,) = children() - before
    os.kill(pid, signal.SIGSTOP)
    start_s = time.monotonic()
    with pytest.raises(TooLarge, match=r"or 0\.3 s in all"):
        decoder.image(write_image(PIXELS), MediaBudget())
    assert time.monotonic() - start_s < 2.0
    assert children() == before
    decoder.close()


def test_work_that_takes_too_long_is_ended_by_the_system(write_sound) -> None:
    decoder = Decoder(num_children=1, limits=DecoderLimits(wall_s=0.02))
    data = write_sound(np.zeros((1, 48_000 * 120)), form="ogg", codec="libopus", rate_hz=48_000)
    with pytest.raises(TooLarge, match=r"or 0\.02 s in all"):
        decoder.audio(data, MediaBudget())
    decoder.close()


def test_memory_is_bounded(write_image) -> None:
    decoder = Decoder(num_children=1, limits=DecoderLimits(memory_bytes=420 * 2**20))
    data = write_image(np.zeros((6_000, 8_000, 3), np.uint8))
    with pytest.raises(MynaError, match="takes more memory than it may") as caught:
        decoder.image(data, MediaBudget())
    assert caught.value.status == 413
    assert decoder.image(write_image(PIXELS), MediaBudget()).pixels.shape == PIXELS.shape
    decoder.close()


def test_a_picture_of_the_largest_size_fits(decoder: Decoder, write_image) -> None:
    rgba = np.zeros((7_000, 7_142, 4), np.uint8)
    rgba[0, 0] = 255
    picture = decoder.image(write_image(rgba, orientation=6), MediaBudget())
    assert picture.pixels.shape == (7_142, 7_000, 3)


def test_files_wait_for_their_turn_only_so_long(write_image) -> None:
    decoder = Decoder(num_children=1, limits=DecoderLimits(queue_s=0.05))
    before = children()
    decoder.image(write_image(PIXELS), MediaBudget())
    (pid,) = children() - before
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(decoder.image, write_image(PIXELS), MediaBudget())
        time.sleep(0.05)
        with pytest.raises(Overloaded, match="other requests' media are being decoded"):
            decoder.image(write_image(PIXELS), MediaBudget())
        os.kill(pid, signal.SIGCONT)
        assert slow.result().pixels.shape == PIXELS.shape
    decoder.close()


def test_a_closed_decoder_refuses_work(write_image) -> None:
    decoder = Decoder()
    decoder.close()
    with pytest.raises(Unavailable, match="the server is closing"):
        decoder.image(write_image(PIXELS), MediaBudget())


def test_a_child_that_cannot_start_is_told(write_image) -> None:
    decoder = Decoder(num_children=1, limits=DecoderLimits(memory_bytes=2**20))
    with pytest.raises(Unavailable, match="did not start within 30 s; see its memory limit"):
        decoder.image(write_image(PIXELS), MediaBudget())


@pytest.mark.parametrize(
    "answer",
    [
        Ready(has_no_network=True),
        Decoded(spent=Spent(), arrays=()),
        Decoded(spent=Spent(), arrays=(ArrayInfo(shape=(1,), dtype="float32"),)),
    ],
)
def test_answers_without_sense_are_not_passed_on(
    fresh: Decoder, monkeypatch: pytest.MonkeyPatch, answer: Ready | Decoded
) -> None:
    starting = iter([(Ready(has_no_network=True), [])])
    arrays = [np.zeros(1, np.float32)] * (isinstance(answer, Decoded) and len(answer.arrays))
    monkeypatch.setattr(
        "myna.media.decoder.receive_answer", lambda _: next(starting, (answer, arrays))
    )
    with pytest.raises(Unavailable, match="makes no sense; try again"):
        fresh.image(b"", MediaBudget())


def test_nothing_is_left_behind(write_image, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shared = {path.name for path in Path("/dev/shm").iterdir()}
    before = children()
    decoder = Decoder()
    decoder.image(write_image(PIXELS), MediaBudget())
    assert not list(tmp_path.iterdir())
    del decoder
    assert children() == before
    assert {path.name for path in Path("/dev/shm").iterdir()} <= shared
