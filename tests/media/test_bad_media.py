"""Damaged, lying and hostile files: each gets a typed error or a right answer, and hurts no other.

The files are made from seeds. After every one of them the same good picture must come back, byte
for byte, from a child that answers in time.
"""

from __future__ import annotations

import time

import numpy as np

from bad_media import bad_media
from myna.core.errors import MynaError
from myna.media.decoder import Decoder
from myna.media.frame_choice import ClipOptions
from myna.media.limits import MediaBudget

MAX_ANSWER_S = 10.0
CANARY = np.random.default_rng(7).integers(0, 256, (20, 30, 3), dtype=np.uint8)
ALLOWED_STATUS = {400, 413}
OPTIONS = ClipOptions(factor=32, max_px=64 * 1024)


def decode(decoder: Decoder, kind: str, data: bytes) -> np.ndarray:
    match kind:
        case "image":
            return decoder.image(data, MediaBudget()).pixels
        case "audio":
            return decoder.audio(data, MediaBudget()).samples
    return decoder.video(data, OPTIONS, MediaBudget()).frames


def test_no_file_hurts_another(decoder: Decoder, write_image) -> None:
    canary, cases = write_image(CANARY), bad_media()
    faults, num_answers, num_errors = [], 0, 0
    for name, (kind, make) in cases.items():
        data = make()
        start_s = time.monotonic()
        try:
            array = decode(decoder, kind, data)
            num_answers += 1
            if not array.size or (kind == "audio" and not np.isfinite(array).all()):
                faults.append(f"{name}: an answer without sense")
        except MynaError as error:
            num_errors += 1
            if error.status not in ALLOWED_STATUS or "0x" in error.message:
                faults.append(f"{name}: {error.status} {error.message}")
        if time.monotonic() - start_s > MAX_ANSWER_S:
            faults.append(f"{name}: took {time.monotonic() - start_s:.1f} s")
        if not np.array_equal(decoder.image(canary, MediaBudget()).pixels, CANARY):
            faults.append(f"{name}: the next picture is another")
    assert not faults
    assert len(cases) >= 180
    assert num_answers >= 10  # a flipped bit seldom ruins a picture
    assert num_errors >= 60
