"""What a caller asks of a service: validated once, at the door; all behind it trust these types.

Not here: the model's own defaults (a request leaves `None` where it has no wish) and the wire forms
of clients.
"""

from __future__ import annotations

from typing import Annotated, Literal, NewType

import msgspec
from msgspec import Meta

from myna.core.messages import Message, Tool

RequestId = NewType("RequestId", str)
Bias = Annotated[float, Meta(ge=-100, le=100)]  # added to a token's logit


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """Say how tokens are to be chosen; `None` means the model's own default.

    `logit_bias` maps token ids to values added to their logits. `logprobs` is how many alternatives
    to report beside each chosen token (0: the chosen one alone; `None`: report nothing).
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    max_tokens: int | None = None
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None


class ChatInput(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    """Ask for the next message of a conversation, rendered by the model's own chat template.

    `thinking` switches reasoning on or off where the template can; `None` leaves its default. With
    `continues` the last message is the assistant's and unfinished: the answer is what follows it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    thinking: bool | None = None
    continues: bool = False


class TextInput(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Ask for the continuation of raw text.

    With `echo` the prompt, and its log-probabilities, come first.
    """

    prompt: str
    echo: bool = False


class TokenInput(msgspec.Struct, frozen=True, kw_only=True, tag="tokens"):
    """Ask for the continuation of token ids."""

    token_ids: tuple[int, ...]
    echo: bool = False


class SayInput(msgspec.Struct, frozen=True, kw_only=True, tag="say"):
    """Ask for exactly this text to be spoken; the request's `speech` says by whom.

    The answer is sound alone: the model writes nothing of its own.
    """

    text: str


class EditInput(msgspec.Struct, frozen=True, kw_only=True, tag="edit"):
    """Ask for pictures to be changed as a prompt says; the request's `sampling` brings the seed.

    Attributes:
        pictures: files; the prompt calls them Picture 1, Picture 2 and so on.
        prompt: what is to be changed.
        negative_prompt: what to stay away from; with a guidance of 1 it has no effect.
        mask: a file as large as the first picture, which is changed where the mask is transparent,
            or, if it is opaque all over, white. Everywhere else the picture keeps its own pixels.
        size: width and height of the answer; `None` is the picture's own.
        work_px: pixels of the picture that the model works on, if `size` leaves it open.
        num_steps: how many steps lead out of noise; `None` is the model's usual number.
        guidance: how far to push from the negative prompt to the prompt; `None` is the usual way.
        num_previews: how many unfinished pictures to show on the way.
        step_cache: reuse most of an earlier step while the first block's part of the work changed
            by less than this share, from 0 to 1: faster, and not the same picture. `None` computes
            every step.
        is_aligned: undo shifts and zooms that the model made without being asked to.
        file_format: of the answer.
        quality: of the answer, from 0 to 100, in formats that lose something.
    """

    pictures: tuple[bytes, ...]
    prompt: str
    negative_prompt: str = " "
    mask: bytes | None = None
    size: tuple[int, int] | None = None
    work_px: int | None = None
    num_steps: int | None = None
    guidance: float | None = None
    num_previews: int = 0
    step_cache: float | None = None
    is_aligned: bool = True
    file_format: Literal["png", "jpeg", "webp"] = "png"
    quality: int = 95


Input = ChatInput | TextInput | TokenInput | SayInput | EditInput


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """Restrict the answer to a language.

    `source` is a JSON schema, a regular expression or a Lark grammar, as text.
    """

    kind: Literal["json_schema", "json_object", "regex", "lark"]
    source: str = ""


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the answer to be spoken as well; `voice` is the model's usual one if not given."""

    voice: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a service for one answer, or for `num_choices` of them.

    `id` is made by the server, never taken from a client. `deadline_s` counts from the moment the
    service accepts the request. `thinking_budget` closes the reasoning block after so many tokens.
    """

    id: RequestId
    input: Input
    model: str | None = None
    sampling: SamplingParams = SamplingParams()
    num_choices: int = 1
    constraint: Constraint | None = None
    thinking_budget: int | None = None
    deadline_s: float | None = None
    speech: Speech | None = None
