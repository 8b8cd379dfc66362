"""Core events -> a response and its events, as OpenAI's Responses API has them.

A whole response is what its events add up to, so both forms come from the one `ResponseWriter`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from itertools import chain

from myna.core.errors import ErrorInfo, MynaError
from myna.core.events import (
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from myna.server.errors import internal_error
from myna.server.render import chat_logprobs, encode
from myna.server.schemas.responses import (
    FunctionCallItem,
    IncompleteDetails,
    InputDetails,
    MessageItem,
    OutputDetails,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    ResponseEvent,
    ResponseFault,
    ResponseObject,
    ResponseUsage,
)
from myna.server.sse import Framing, named_frame


class ResponseWriter:
    """Build one response; every method returns the events that tell what changed.

    Args:
        response: what is known before the answer; it is completed in place.
        key: the random part of the ids of all items.
    """

    def __init__(self, response: ResponseObject, *, key: str) -> None:
        self.response = response
        self._key = key
        self._num_events = 0
        self._calls: dict[int, int] = {}  # call_idx of the core -> index in the output
        self._open: int | None = None  # index of the text or reasoning that may still grow

    @property
    def framing(self) -> Framing:
        """Say how the events of this response go on the wire."""
        return Framing(frame=named_frame, error=self._error)

    def begin(self) -> Iterator[ResponseEvent]:
        """Tell that the answer has begun."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)

    def add(self, event: Event) -> Iterator[ResponseEvent]:
        """Take one event of the answer."""
        match event:
            case TextDelta():
                yield from self._add_text(event)
            case ReasoningDelta(text=text):
                yield from self._add_reasoning(text)
            case ToolCallDelta():
                yield from self._add_call(event)
            case Finished(reason=reason, usage=usage):
                yield from self._finish(usage, is_cut=reason == "length")

    def fail(self, error: ErrorInfo) -> ResponseEvent:
        """Tell that the answer broke off."""
        self.response.status = "failed"
        self.response.error = ResponseFault(code=error.code or error.type, message=error.message)
        return self._event("response.failed", response=self.response)

    def _error(self, error: ErrorInfo) -> bytes:
        """Write the event of an error that no event of the answer told of."""
        return encode(
            self._event("error", code=error.code, message=error.message, param=error.param)
        )

    def _event(self, kind: str, **fields: object) -> ResponseEvent:
        self._num_events += 1
        made = {"type": kind, "sequence_number": self._num_events - 1, **fields}
        return ResponseEvent(**made)  # type: ignore[arg-type]

    def _append(self, item: OutputItem) -> Iterator[ResponseEvent]:
        self.response.output.append(item)
        index = len(self.response.output) - 1
        yield self._event("response.output_item.added", output_index=index, item=item)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._key}_{len(self.response.output)}"

    def _grow(
        self, kind: type[MessageItem] | type[ReasoningItem], part: OutputText | ReasoningText
    ) -> Iterator[ResponseEvent]:
        """See to it that the last item is of this kind; a new one begins with an empty part."""
        if self._open is not None and isinstance(self.response.output[self._open], kind):
            return
        yield from self._close()
        item = kind(id=self._id("msg" if kind is MessageItem else "rs"), content=[])
        yield from self._append(item)
        item.content.append(part)  # type: ignore[arg-type]
        self._open = len(self.response.output) - 1
        yield self._event("response.content_part.added", part=part, **self._place(item.id))

    def _place(self, item_id: str) -> dict[str, object]:
        return {"item_id": item_id, "output_index": self._open, "content_index": 0}

    def _add_text(self, event: TextDelta) -> Iterator[ResponseEvent]:
        yield from self._grow(MessageItem, OutputText(logprobs=[]))
        item = self.response.output[-1]
        assert isinstance(item, MessageItem)
        logprobs = chat_logprobs(event.logprobs).content
        item.content[0].text += event.text
        item.content[0].logprobs.extend(logprobs)
        yield self._event(
            "response.output_text.delta",
            delta=event.text,
            logprobs=logprobs,
            **self._place(item.id),
        )

    def _add_reasoning(self, text: str) -> Iterator[ResponseEvent]:
        yield from self._grow(ReasoningItem, ReasoningText())
        item = self.response.output[-1]
        assert isinstance(item, ReasoningItem)
        item.content[0].text += text
        yield self._event("response.reasoning_text.delta", delta=text, **self._place(item.id))

    def _add_call(self, event: ToolCallDelta) -> Iterator[ResponseEvent]:
        if event.call_idx not in self._calls:
            yield from self._close()
            self._calls[event.call_idx] = len(self.response.output)
            item_id = self._id("fc")
            call = FunctionCallItem(
                id=item_id, call_id=event.id or f"call_{item_id}", name=event.name or ""
            )
            yield from self._append(call)
        index = self._calls[event.call_idx]
        item = self.response.output[index]
        assert isinstance(item, FunctionCallItem)
        item.arguments += event.arguments
        if event.arguments:
            yield self._event(
                "response.function_call_arguments.delta",
                item_id=item.id,
                output_index=index,
                delta=event.arguments,
            )

    def _close(self, *, is_cut: bool = False) -> Iterator[ResponseEvent]:
        """End the text or the reasoning that may still grow."""
        if self._open is None:
            return
        item = self.response.output[self._open]
        assert not isinstance(item, FunctionCallItem)
        place, part = self._place(item.id), item.content[0]
        if isinstance(part, OutputText):
            logprobs = part.logprobs
            yield self._event(
                "response.output_text.done", text=part.text, logprobs=logprobs, **place
            )
        else:
            yield self._event("response.reasoning_text.done", text=part.text, **place)
        yield self._event("response.content_part.done", part=part, **place)
        yield self._item_done(self._open, is_cut=is_cut)
        self._open = None

    def _item_done(self, index: int, *, is_cut: bool) -> ResponseEvent:
        item = self.response.output[index]
        item.status = "incomplete" if is_cut else "completed"
        return self._event("response.output_item.done", output_index=index, item=item)

    def _finish(self, usage: Usage, *, is_cut: bool) -> Iterator[ResponseEvent]:
        if not self.response.output:  # an empty answer is an answer, too
            yield from self._grow(MessageItem, OutputText(logprobs=[]))
        yield from self._close(is_cut=is_cut)
        for index in self._calls.values():
            item = self.response.output[index]
            assert isinstance(item, FunctionCallItem)
            yield self._event(
                "response.function_call_arguments.done",
                item_id=item.id,
                output_index=index,
                name=item.name,
                arguments=item.arguments,
            )
            yield self._item_done(index, is_cut=is_cut)
        self.response.usage = response_usage(usage)
        self.response.status = "incomplete" if is_cut else "completed"
        self.response.incomplete_details = IncompleteDetails() if is_cut else None
        yield self._event(f"response.{self.response.status}", response=self.response)


def response_usage(usage: Usage) -> ResponseUsage:
    """Translate the tokens of an answer."""
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


async def response_events(
    writer: ResponseWriter,
    events: AsyncGenerator[Event, None],
    *,
    keep: Callable[[ResponseObject], None],
    request_id: str,
) -> AsyncGenerator[bytes, None]:
    """Write a response as events; once it has begun, an error is an event of it."""
    async with aclosing(events):
        first = await anext(events)
        try:
            for change in chain(writer.begin(), writer.add(first)):
                yield encode(change)
            async for event in events:
                for change in writer.add(event):
                    if isinstance(event, Finished) and writer.response.usage is not None:
                        keep(writer.response)
                    yield encode(change)
        except MynaError as error:
            yield encode(writer.fail(error.info()))
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            yield encode(writer.fail(internal_error(error, request_id=request_id)))


async def whole_response(
    writer: ResponseWriter,
    events: AsyncGenerator[Event, None],
    *,
    keep: Callable[[ResponseObject], None],
) -> bytes:
    """Write a response as one body."""
    async with aclosing(events):
        async for event in events:
            for _ in writer.add(event):
                pass
    keep(writer.response)
    return encode(writer.response)
