"""One request's way back: the engine's outputs become events, in the order a client sees them.

Lives on the engine's thread; hands events over through a function that may be called from there.
Not here: reading text, reasoning and calls out of tokens (text.answer).
"""

from __future__ import annotations

from collections.abc import Callable

from myna.core.errors import MynaError
from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    PromptEcho,
    TokenLogprob,
    Usage,
)
from myna.core.events import FinishReason as EventReason
from myna.engine.sequence import Account, StepOutput, TokenScore
from myna.pipeline.engine_thread import Finish
from myna.pipeline.prepare import Prepared
from myna.pipeline.speaking import SpokenTrack
from myna.text.answer import AnswerParser, Reasoning
from myna.text.tokenizer import Tokenizer

Deliver = Callable[[list[Event]], None]


class RequestAnswer:
    """Turn one request's outputs into events; satisfies `engine_thread.Listener`.

    An answer that is spoken is handed on to its track, which ends it.
    """

    def __init__(
        self,
        prepared: Prepared,
        tokenizer: Tokenizer,
        deliver: Deliver,
        track: SpokenTrack | None = None,
    ) -> None:
        self._prepared = prepared
        self._track = track
        self._tokenizer = tokenizer
        self._deliver = deliver
        request = prepared.engine_request
        self._scores = request.sampling.logprobs is not None
        self._open = {
            index: AnswerParser(
                tokenizer,
                index=index,
                stops=prepared.stops,
                reasoning=_reasoning(prepared),
                has_tools=prepared.may_call_tools,
            )
            for index in range(request.num_choices)
        }
        # Choice 0 brings the prompt's scores with its first output, before any other choice starts.
        self._prompt_scores: tuple[TokenScore, ...] = ()
        self._unechoed = set(self._open)

    @property
    def is_done(self) -> bool:
        """Tell whether every choice has ended."""
        return not self._open

    def on_start(self) -> None:
        """Tell that the request is queued."""
        prompt = self._prepared.engine_request.token_ids
        self._deliver([Accepted(prompt_tokens=len(prompt))])
        if self._track is not None:
            self._track.start()

    def on_output(self, output: StepOutput, finish: Finish) -> None:
        """Take one output of one choice."""
        parser = self._open.get(output.index)
        if parser is None:
            return
        events: list[Event] = []
        self._prompt_scores = output.prompt_scores or self._prompt_scores
        if self._prepared.echo_text is not None and output.index in self._unechoed:
            self._unechoed.remove(output.index)
            events.append(self._echo(self._prepared.echo_text, index=output.index))
        if output.token is not None and not self._is_stop(output):
            token_id = output.token.token_id
            found = parser.feed(token_id, self._logprob(output.token))
            events += found
            if self._track is not None:
                self._track.take(token_id, found)
        account, reason = output.account, output.finish_reason
        if parser.stop is not None and account is None:
            account, reason = finish(output.index), "stop"
        if account is not None and reason is not None:
            found = parser.finish()
            ended = "stop" if parser.stop is not None else reason
            finished = self._finished(parser, account, ended, index=output.index)
            del self._open[output.index]
            if self._track is None:
                self._deliver([*events, *found, finished])
            else:
                self._deliver([*events, *found])
                self._track.finish(found, finished)
        elif events:
            self._deliver(events)

    def on_error(self, error: MynaError) -> None:
        """End the request with an error."""
        self._open.clear()
        if self._track is not None:
            self._track.cancel()
        self._deliver([Failed(error=error.info())])

    def _is_stop(self, output: StepOutput) -> bool:
        """Tell whether the token is the mark of the end, which is no part of the answer."""
        sampling = self._prepared.engine_request.sampling
        return (
            output.finish_reason == "stop"
            and output.token is not None
            and output.token.token_id in sampling.stop_token_ids
        )

    def _echo(self, text: str, *, index: int) -> PromptEcho:
        logprobs = tuple(self._named(score) for score in self._prompt_scores)
        return PromptEcho(index=index, text=text, logprobs=logprobs if self._scores else None)

    def _logprob(self, score: TokenScore) -> TokenLogprob | None:
        return self._named(score) if self._scores else None

    def _named(self, score: TokenScore) -> TokenLogprob:
        top = tuple(
            self._named(TokenScore(token_id, logprob=logprob)) for token_id, logprob in score.top
        )
        raw = self._tokenizer.token_bytes(score.token_id)
        return TokenLogprob(
            token_id=score.token_id,
            token=raw.decode(errors="replace"),
            token_bytes=raw,
            logprob=score.logprob,
            top=top,
        )

    def _finished(
        self, parser: AnswerParser, account: Account, reason: EventReason, *, index: int
    ) -> Finished:
        usage = Usage(
            prompt_tokens=account.prompt_tokens,
            completion_tokens=account.completion_tokens,
            cached_tokens=account.cached_tokens,
            reasoning_tokens=parser.num_reasoning_tokens,
            media_tokens=self._prepared.num_media_tokens,
        )
        return Finished(
            index=index,
            reason=parser.finish_reason(reason),
            usage=usage,
            timings=account.timings,
        )


def _reasoning(prepared: Prepared) -> Reasoning:
    if prepared.starts_thinking:
        return Reasoning.BEGUN_IN_PROMPT if prepared.continues else Reasoning.IN_PROMPT
    return Reasoning.IN_ANSWER if prepared.may_think else Reasoning.NONE
