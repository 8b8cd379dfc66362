"""Read an answer as its tokens come: text, reasoning and tool calls, up to the first stop string.

The order is: ids to text, reasoning apart from the answer, stop strings in the answer (never in the
reasoning), tool calls in the answer. Not here: when to stop for other reasons, and usage.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec

from myna.core.events import FinishReason, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta
from myna.text.chat_template import THINK_CLOSE, THINK_OPEN
from myna.text.markers import StopMatcher
from myna.text.reasoning import ReasoningSplitter, Span
from myna.text.stream_decoder import StreamDecoder
from myna.text.tokenizer import Tokenizer
from myna.text.tool_calls import CALL_CLOSE, CALL_OPEN, CallPiece, ToolCallParser

AnswerEvent = TextDelta | ReasoningDelta | ToolCallDelta


class Reasoning(Enum):
    """Say where a reasoning block may begin, and whether some of it is in the prompt too."""

    NONE = auto()
    IN_ANSWER = auto()
    IN_PROMPT = auto()
    BEGUN_IN_PROMPT = auto()


def new_call_id() -> str:
    """Make an id for a tool call that nobody can guess."""
    return f"call_{secrets.token_hex(12)}"


class AnswerParser:
    """Turn the tokens of one choice into its events.

    Args:
        tokenizer: the model's vocabulary.
        index: the number of the choice.
        stops: the answer ends before the first of these.
        reasoning: whether a reasoning block may come, and whether the prompt has opened it.
        has_tools: look for tool calls.
        make_call_id: names each tool call.

    Attributes:
        stop: the stop string that was found; whoever feeds tokens should stop then.
        num_reasoning_tokens: how many of the tokens were reasoning, its closing tag included.
        num_calls: how many tool calls have begun.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        index: int = 0,
        stops: Sequence[str] = (),
        reasoning: Reasoning = Reasoning.NONE,
        has_tools: bool = False,
        make_call_id: Callable[[], str] = new_call_id,
    ) -> None:
        splits = reasoning is not Reasoning.NONE
        tags = (THINK_OPEN, THINK_CLOSE) * splits + (CALL_OPEN, CALL_CLOSE) * has_tools
        shown = (tokenizer.id_of(tag) for tag in tags)
        self._index = index
        self._decoder = StreamDecoder(tokenizer, shown=[i for i in shown if i is not None])
        is_begun = reasoning is Reasoning.BEGUN_IN_PROMPT
        is_open = is_begun or reasoning is Reasoning.IN_PROMPT
        self._splitter = ReasoningSplitter(is_open=is_open, is_begun=is_begun) if splits else None
        self._stops = StopMatcher(stops)
        self._calls = ToolCallParser() if has_tools else None
        self._make_call_id = make_call_id
        # (where the token's text begins, its log-probability): tokens that are not visible yet.
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self.num_reasoning_tokens = 0

    @property
    def stop(self) -> str | None:
        """Give the stop string that was found."""
        return self._stops.stop

    @property
    def num_calls(self) -> int:
        """Count the tool calls that have begun."""
        return self._calls.num_calls if self._calls else 0

    @property
    def is_reasoning(self) -> bool:
        """Tell whether the next token is reasoning, as far as is known."""
        return self._splitter is not None and self._splitter.is_reasoning

    def feed(self, token_id: int, logprob: TokenLogprob | None = None) -> list[AnswerEvent]:
        """Take a token; return what became certain with it."""
        if self.stop is not None:
            return []
        self.num_reasoning_tokens += self.is_reasoning
        if logprob is not None:
            self._waiting.append((self._decoder.num_chars, logprob))
        events = self._read(self._decoder.feed(token_id), is_last=False)
        return self._with_logprobs(events, is_last=False)

    def finish(self) -> list[AnswerEvent]:
        """End the answer; return what was held back."""
        events = self._read(self._decoder.finish(), is_last=True)
        return self._with_logprobs(events, is_last=True)

    def finish_reason(self, reason: FinishReason) -> FinishReason:
        """Correct the engine's reason: an answer that calls tools ends for that."""
        return "tool_calls" if self.num_calls and reason == "stop" else reason

    def _read(self, text: str, *, is_last: bool) -> list[AnswerEvent]:
        """Send decoded text through all stages."""
        events: list[AnswerEvent] = []
        answer = ""
        for span in self._split(text, is_last=is_last):
            if span.is_reasoning:
                events.append(ReasoningDelta(index=self._index, text=span.text))
            else:
                answer += self._stops.feed(span.text)
        if is_last:
            answer += self._stops.finish()
        if self._calls is None:
            return events + self._text(answer)
        pieces = self._calls.feed(answer)
        if is_last:
            pieces += self._calls.finish()
        for piece in pieces:
            events += self._text(piece) if isinstance(piece, str) else [self._call(piece)]
        return events

    def _split(self, text: str, *, is_last: bool) -> list[Span]:
        if self._splitter is None:
            return [Span(text, is_reasoning=False)]
        spans = self._splitter.feed(text)
        return spans + self._splitter.finish() if is_last else spans

    def _text(self, text: str) -> list[AnswerEvent]:
        return [TextDelta(index=self._index, text=text)] if text else []

    def _call(self, piece: CallPiece) -> ToolCallDelta:
        return ToolCallDelta(
            index=self._index,
            call_idx=piece.call_idx,
            id=None if piece.name is None else self._make_call_id(),
            name=piece.name,
            arguments=piece.arguments,
        )

    def _with_logprobs(self, events: list[AnswerEvent], *, is_last: bool) -> list[AnswerEvent]:
        """Give the last text the log-probabilities of all tokens that became visible with it.

        Tokens of reasoning, of tags, of calls and of the stop string become visible in no text.
        """
        end = self._decoder.num_chars
        if self.stop is not None:
            end -= self._stops.num_cut
            self._waiting = deque(entry for entry in self._waiting if entry[0] < end)
        end -= self._stops.num_held
        end -= self._splitter.num_held if self._splitter else 0
        end -= self._calls.num_held if self._calls else 0
        visible: list[TokenLogprob] = []
        while self._waiting and (is_last or self._waiting[0][0] < end):
            visible.append(self._waiting.popleft()[1])
        for position in range(len(events) - 1, -1, -1):
            event = events[position]
            if isinstance(event, TextDelta) and visible:
                events[position] = msgspec.structs.replace(event, logprobs=tuple(visible))
                break
        return events
