"""A decoder that writes what it is told, whatever it reads: for tests of what becomes of an answer.

It serves one request of one choice at a time: the n-th row of logits that it is asked for prefers
the n-th token of its script, and the end token after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from myna.core.events import Event, Failed, Finished, ReasoningDelta, TextDelta, ToolCallDelta
from myna.core.messages import text_message
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams
from myna.layers.cache import LayerCache, PackedBatch
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService
from myna.text.tokenizer import Tokenizer

PREFERENCE = 20.0  # above the other tokens' logits; a mask or a bias can still overrule it


class ScriptedDecoder:
    """Satisfy `engine.protocols.Decoder` without weights.

    Attributes:
        script: the tokens of the next answer.
        prompt: the tokens that were read since the script was set, the answer's own included.
    """

    num_layers = 1
    num_kv_heads = 1
    device = torch.device("cpu")
    head_width = 1
    dtype = torch.float32

    def __init__(self, *, vocab_size: int, end_id: int) -> None:
        self.vocab_size = vocab_size
        self._end_id = end_id
        self.script: list[int] = []
        self.prompt: list[int] = []

    def tell(self, token_ids: Sequence[int]) -> None:
        """Set the next answer."""
        self.script = list(token_ids)
        self.prompt = []

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Remember the tokens; attend, so that the cache is filled as it is for any network."""
        self.prompt += batch.token_ids.tolist()
        heads = torch.ones(len(batch.token_ids), 1, 1)  # (N, 1, 1)
        for cache in caches:
            cache.attend(heads, heads, heads)
        return torch.zeros(len(batch.token_ids), 1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Prefer the script's next token in each row."""
        logits = torch.zeros(len(hidden), self.vocab_size)  # (R, V)
        for row in logits:
            row[self.script.pop(0) if self.script else self._end_id] = PREFERENCE
        return logits


@dataclass
class Said:
    """An answer's events."""

    events: list[Event]

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def end(self) -> Finished:
        assert isinstance(self.events[-1], Finished), self.events[-1]
        return self.events[-1]

    @property
    def failure(self) -> str:
        assert isinstance(self.events[-1], Failed), self.events[-1]
        return self.events[-1].error.message

    @property
    def calls(self) -> list[tuple[str, str]]:
        """The name and the arguments of each tool call, put together from their pieces."""
        found: dict[int, tuple[str, str]] = {}
        for event in self.events:
            if isinstance(event, ToolCallDelta):
                name, arguments = found.get(event.call_idx, ("", ""))
                found[event.call_idx] = (name + (event.name or ""), arguments + event.arguments)
        return [found[idx] for idx in sorted(found)]


@dataclass
class Told:
    """A service whose next answer can be told."""

    service: LocalService
    decoder: ScriptedDecoder
    tokenizer: Tokenizer

    async def answer(self, script: str, **fields: Any) -> Said:
        """Ask something, with an answer of these words already chosen."""
        self.decoder.tell(self.tokenizer.encode(script))
        sampling = {"temperature": 0.0, "max_tokens": 900, **fields.pop("sampling", {})}
        chat = {"messages": (text_message("user", "why?"),), **fields.pop("chat", {})}
        request = Request(
            id=RequestId("r"),
            input=ChatInput(**chat),
            sampling=SamplingParams(**sampling),
            **fields,
        )
        return Said([event async for event in self.service.generate(request)])

    def prompt(self, **chat: object) -> str:
        """Render a conversation as the engine would read it."""
        request = Request(id=RequestId("r"), input=ChatInput(**chat))
        prepared = self.service._preparer.prepare(request)
        return self.tokenizer.decode(prepared.engine_request.token_ids, skip_special=False)


def told_service(folder: Path, template: str | None = None) -> Told:
    """Serve a tiny model's tokenizer with a decoder that says what it is told.

    Prefixes are not cached: every prompt is read whole, and so can be looked at.

    Args:
        folder: where the tiny model is written; its name is the model's.
        template: a chat template to take the place of the tiny model's own.
    """
    write_tiny_checkpoint(folder, "qwen2")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    options = LoadOptions(model_id=folder.name, dtype="float32", max_context=2048)
    model = load_model(folder, options, silent)
    end_id = min(model.stop_ids)
    decoder = ScriptedDecoder(vocab_size=model.decoder.vocab_size, end_id=end_id)
    config = replace(model.engine_config, prefix_caching=False)
    service = LocalService(replace(model, decoder=decoder, engine_config=config))
    return Told(service, decoder, model.tokenizer)
