"""The shape of nano stays as it was when its weights were learnt."""

from __future__ import annotations

import json
import zlib

from myna.train import shapes

# Weights fit no other: these change with a training from the first step on, and with nothing else.
FROZEN_CONFIG = 46603569
FROZEN_PREPROCESSOR = 1058252161


def test_the_configuration_is_the_one_that_was_trained() -> None:
    ids = {name: 2000 + i for i, name in enumerate(shapes.NAMED_TOKENS)}
    assert zlib.crc32(json.dumps(shapes.config(ids)).encode()) == FROZEN_CONFIG
    assert zlib.crc32(json.dumps(shapes.PREPROCESSOR).encode()) == FROZEN_PREPROCESSOR
