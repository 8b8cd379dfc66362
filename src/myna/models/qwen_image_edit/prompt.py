"""The words around a prompt, as the text encoder was taught them.

Source: diffusers 0.42.1 `QwenImageEditPlusPipeline`.
Differs: marks that steer the model stay text in what a user writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myna.core.errors import BadCheckpoint
from myna.text.tokenizer import Tokenizer

SYSTEM = (
    "<|im_start|>system\n"
    "Describe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
START, PLACEHOLDER, END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
TAIL = "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class PromptIds:
    """Hold prompts as token ids.

    Attributes:
        shared: the instruction, and the pictures.
        own: each prompt's words.
        num_dropped: tokens of the instruction, of which the transformer sees nothing.
    """

    shared: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    num_dropped: int


def write_prompts(
    texts: Sequence[str], picture_tokens: Sequence[int], tokenizer: Tokenizer
) -> PromptIds:
    """Write prompts about the same pictures.

    Args:
        texts: what users ask for.
        picture_tokens: how many tokens each picture takes.
        tokenizer: of the text encoder.

    Raises:
        BadCheckpoint: the tokenizer lacks a mark.
    """
    for mark in (START, PLACEHOLDER, END):
        if tokenizer.id_of(mark) is None:
            raise BadCheckpoint(
                f"the tokenizer does not know {mark!r}, which every picture needs; download the "
                "model again"
            )
    system = tokenizer.encode(SYSTEM)
    pictures = "".join(
        f"Picture {number}: {START}{PLACEHOLDER * count}{END}"
        for number, count in enumerate(picture_tokens, start=1)
    )
    tail = tokenizer.encode(TAIL)
    return PromptIds(
        shared=(*system, *tokenizer.encode(pictures)),
        own=tuple((*tokenizer.encode(text, special=False), *tail) for text in texts),
        num_dropped=len(system),
    )
