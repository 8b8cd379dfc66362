"""From a request to what the engine runs: render, tokenize, fill in defaults, compile constraints.

Not here: reading what comes back (answer).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from myna.core.errors import ContextOverflow, InvalidRequest
from myna.core.messages import text_message
from myna.core.requests import (
    ChatInput,
    EditInput,
    Input,
    Request,
    SamplingParams,
    SayInput,
    TextInput,
    TokenInput,
)
from myna.engine.grammar import Grammar, GrammarCompiler, Thinking
from myna.engine.grammar_source import GrammarSource, constraint_source, tool_call_source
from myna.engine.protocols import TokenMask, TokenOverride
from myna.engine.sequence import EngineRequest, Sampling
from myna.models.qwen3_omni.inputs import Layout, expand
from myna.pipeline.defaults import SamplingDefaults, fill
from myna.pipeline.load import LoadedModel
from myna.pipeline.media_prompt import MediaPart, MediaPrompt, MediaReader, media_of
from myna.pipeline.speaking import Speaking, Spoken
from myna.pipeline.thinking import ThinkingGuard, ThinkingTokens
from myna.speech.turns import Turns
from myna.text.chat_template import THINK_CLOSE, THINK_OPEN, ends_in_thinking
from myna.text.reasoning import breaks_off_in_thought, drop_old_reasoning
from myna.text.tokenizer import Tokenizer

log = logging.getLogger("myna.prepare")

TOOL_OPEN, TOOL_CLOSE = "<tool_call>", "</tool_call>"
SAY_PROMPT = "Read this text aloud, word for word:\n"
# Characters that Unicode's normal form may melt into one, before text is cut into tokens.
MAX_COMPOSED = 4
CLOSE_TEXT = f"\n{THINK_CLOSE}\n\n"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Hold a request as the engine wants it, and how its answer is to be read.

    Attributes:
        starts_thinking: the prompt ends inside a reasoning block.
        may_think: the answer may hold a reasoning block.
        may_call_tools: the answer may hold tool calls.
        continues: the prompt ends within the answer, of which only the rest is written and spoken.
        stops: texts that end the answer.
        echo_text: the prompt, if it is to be part of the answer.
        num_media_tokens: how many of the prompt's tokens stand for media.
        spoken: how the answer is spoken, if it is.
    """

    engine_request: EngineRequest
    starts_thinking: bool
    may_think: bool
    may_call_tools: bool
    continues: bool
    stops: tuple[str, ...]
    echo_text: str | None
    num_media_tokens: int = 0
    spoken: Spoken | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedText:
    """Hold a text that is to be spoken as it is, of `num_tokens` tokens."""

    spoken: Spoken
    num_tokens: int


@dataclass(frozen=True, kw_only=True)
class _Prompt:
    token_ids: tuple[int, ...]
    media: MediaPrompt | None = None
    starts_thinking: bool = False
    may_think: bool = False


class Preparer:
    """Prepare requests for one model; safe from any thread.

    Args:
        model: whose requests they are.
        turns: by which its speech and its text share the cores.
    """

    def __init__(self, model: LoadedModel, turns: Turns | None = None) -> None:
        self._model = model
        tokenizer = model.tokenizer
        num_usable = model.engine_config.num_valid_tokens or tokenizer.vocab_size
        spelled = [tokenizer.token_bytes(token_id) for token_id in range(num_usable)]
        self._longest_token = max(map(len, spelled), default=1)
        self._grammars = GrammarCompiler(
            spelled,
            eos_ids=sorted(token_id for token_id in model.stop_ids if token_id < num_usable),
            special_ids=sorted(i for i in tokenizer.added_ids if i < num_usable),
            encode=partial(tokenizer.encode, special=False),
        )
        written = model.template.source if model.template else ""
        self._knows_thinking = THINK_CLOSE in written
        self._think_tokens = _think_tokens(tokenizer)
        self._reader: MediaReader | None = None
        self._speaking: Speaking | None = None
        if model.omni is not None:
            self._speaking = Speaking(model.omni, turns or Turns())
            self._reader = MediaReader(model.omni, context=model.engine_config.max_total_tokens)

    def prepare(self, request: Request) -> Prepared:
        """Turn a request into an engine request.

        Raises:
            InvalidRequest: something in it is wrong.
        """
        speaking = None if request.speech is None else self._speaking_for(request)
        prompt = self._prompt(request, speaking)
        asked, media, deadline_s = request.input, prompt.media, _deadline_s(request)
        tools = asked.tools if isinstance(asked, ChatInput) and asked.tool_choice != "none" else ()
        echo_text = self._echo_text(request)
        grammar = self._grammar(request, starts_thinking=prompt.starts_thinking)
        thinking = self._thinking(asked, prompt)
        spoken = None
        if speaking is not None:
            layout = self._layout(prompt.token_ids) if media is None else media.layout
            states = None if media is None or media.states is None else media.states.rows
            spoken = speaking.plan(request, layout, states, deadline_s=deadline_s)
        continues = isinstance(asked, ChatInput) and asked.continues
        if continues and spoken is not None:
            spoken = replace(spoken, begun=[])
        sampling = self._sampling(request.sampling, echoes=echo_text is not None)
        if grammar is not None:  # when it is complete, nothing but the end may follow
            sampling = replace(sampling, min_tokens=0, ignore_eos=False)
        return Prepared(
            engine_request=EngineRequest(
                id=request.id,
                token_ids=prompt.token_ids,
                prompt=None if media is None else media.batch,
                advance=0.0 if media is None else media.layout.advance,
                marks=() if media is None else media.marks,
                max_cached=None if media is None else media.max_cached,
                sampling=sampling,
                num_choices=request.num_choices,
                deadline_s=deadline_s,
                make_mask=None if grammar is None else _mask_maker(grammar, thinking),
                make_override=self._override_maker(request, prompt),
                on_read=None if spoken is None else self._follower(spoken, media),
            ),
            starts_thinking=prompt.starts_thinking,
            may_think=prompt.may_think,
            may_call_tools=bool(tools),
            continues=continues,
            stops=request.sampling.stop,
            echo_text=echo_text,
            num_media_tokens=0 if media is None else media.num_media_tokens,
            spoken=spoken,
        )

    def prepare_text(self, request: Request, asked: SayInput) -> PreparedText:
        """Turn a request for a given text into what speaks it.

        Raises:
            InvalidRequest: something in it is wrong.
        """
        speaking = self._speaking_for(request)
        tokenizer = self._model.tokenizer
        self._check_length(asked.text, param="input")
        token_ids = tokenizer.encode(asked.text, special=False)
        if not token_ids:
            raise InvalidRequest("the text to be spoken is empty; send some", param="input")
        asking = ChatInput(messages=(text_message("user", SAY_PROMPT + asked.text),))
        prompt = self._chat_prompt(asking, None)
        layout = self._layout([*prompt.token_ids, *token_ids])
        spoken = speaking.plan(request, layout, None, deadline_s=_deadline_s(request))
        return PreparedText(spoken=spoken, num_tokens=len(token_ids))

    def close(self) -> None:
        """Fall silent; end the processes that prove grammars and decode media."""
        self._grammars.close()
        if self._reader is not None:
            self._reader.close()
        if self._speaking is not None:
            self._speaking.close()

    def _prompt(self, request: Request, speaking: Speaking | None) -> _Prompt:
        asked, tokenizer = request.input, self._model.tokenizer
        assert not isinstance(asked, SayInput | EditInput), "it is not prepared for the engine"
        if isinstance(asked, ChatInput):
            return self._chat_prompt(asked, speaking)
        if isinstance(asked, TokenInput):
            return self._with_media(asked.token_ids, [], speaking)
        self._check_length(asked.prompt, param="prompt")
        head = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
        return self._with_media([*head, *tokenizer.encode(asked.prompt)], [], speaking)

    def _follower(self, spoken: Spoken, media: MediaPrompt | None) -> Callable[[int], None]:
        """Say who is told how much of a prompt has been read."""
        states, reader = None if media is None else media.states, self._reader
        if states is None or reader is None:
            return spoken.follow

        def follow(num_read: int) -> None:
            reader.keep_states(states, num_read=num_read)
            spoken.follow(num_read)

        return follow

    def _check_length(self, text: str, *, param: str) -> None:
        """Refuse what cannot fit, however it is cut, before the work of cutting it into tokens."""
        num_tokens = self._model.engine_config.max_total_tokens
        limit = num_tokens * self._longest_token * MAX_COMPOSED
        if len(text) > limit:
            raise ContextOverflow(
                f"the prompt has {len(text)} characters, far more than the {num_tokens} tokens "
                "that fit; shorten it or start with a larger `--max-context`",
                param=param,
            )

    def _with_media(
        self, token_ids: Sequence[int], parts: Sequence[MediaPart], speaking: Speaking | None
    ) -> _Prompt:
        """Put media into their places; a place without one is refused."""
        reader = self._reader
        if reader is None or not (parts or reader.has_places(token_ids)):
            return _Prompt(token_ids=tuple(token_ids))
        depth = None if speaking is None else speaking.states_depth
        media = reader.prompt(token_ids, reader.decode(parts), states_depth=depth)
        return _Prompt(token_ids=media.token_ids, media=media)

    def _speaking_for(self, request: Request) -> Speaking:
        """Refuse a request that cannot be spoken, before any work is done."""
        if self._speaking is None:
            raise InvalidRequest(
                "speech was asked for, but this model only writes; ask for text, or take a model "
                "that speaks",
                param="modalities",
            )
        self._speaking.check(request)
        return self._speaking

    def _layout(self, token_ids: Sequence[int]) -> Layout:
        """Lay out a prompt without media."""
        assert self._model.omni is not None, "only omni models speak"
        return expand(token_ids, (), self._model.omni.config.thinker)

    def _echo_text(self, request: Request) -> str | None:
        asked = request.input
        if not isinstance(asked, TextInput | TokenInput) or not asked.echo:
            return None
        if isinstance(asked, TextInput):
            return asked.prompt
        return self._model.tokenizer.decode(asked.token_ids, skip_special=False)

    def render(self, asked: ChatInput) -> str:
        """Write a conversation as the prompt that the model's chat template makes of it.

        Raises:
            InvalidRequest: the model has no template, or something in the request is wrong.
        """
        template, tokenizer = self._model.template, self._model.tokenizer
        if template is None:
            raise InvalidRequest(
                "this model has no chat template: it continues text but does not chat; "
                "use /v1/completions, or a model tuned for conversation",
                param="messages",
            )
        messages = drop_old_reasoning(asked.messages)
        if media_of(messages) and self._reader is None:
            raise InvalidRequest(
                "the messages hold pictures, sounds or videos, but this model reads text only; "
                "leave them out, or ask another model",
                param="messages",
            )
        return template.render(
            messages,
            tools=asked.tools if asked.tool_choice != "none" else (),
            thinking=asked.thinking,
            continues=asked.continues,
            escape=tokenizer.escape_control_tokens,
        )

    def _chat_prompt(self, asked: ChatInput, speaking: Speaking | None) -> _Prompt:
        rendered, tokenizer = self.render(asked), self._model.tokenizer
        parts = media_of(drop_old_reasoning(asked.messages))
        self._check_length(rendered, param="messages")
        if asked.continues:
            starts_thinking = breaks_off_in_thought(asked.messages[-1])
        else:
            starts_thinking = ends_in_thinking(rendered)
        return replace(
            self._with_media(tokenizer.encode_rendered(rendered), parts, speaking),
            starts_thinking=starts_thinking,
            may_think=self._knows_thinking and (starts_thinking or not asked.continues),
        )

    def _sampling(self, params: SamplingParams, *, echoes: bool) -> Sampling:
        return resolve_sampling(
            params,
            self._model.defaults,
            stop_ids=self._model.stop_ids,
            prompt_logprobs=echoes and params.logprobs is not None,
        )

    def _grammar(self, request: Request, *, starts_thinking: bool) -> Grammar | None:
        source = self._grammar_source(request, starts_thinking=starts_thinking)
        return None if source is None else self._grammars.compile(source)

    def _grammar_source(self, request: Request, *, starts_thinking: bool) -> GrammarSource | None:
        asked, tokenizer = request.input, self._model.tokenizer
        is_spelled = starts_thinking and self._think_tokens.close_id is None
        spelled = THINK_CLOSE if is_spelled else None
        if isinstance(asked, ChatInput) and asked.tool_choice not in ("auto", "none"):
            opener, closer = (_mark(tokenizer, text) for text in (TOOL_OPEN, TOOL_CLOSE))
            return tool_call_source(
                asked.tools,
                tool_choice=asked.tool_choice,
                parallel=asked.parallel_tool_calls,
                opener=opener,
                closer=closer,
                after_text=spelled,
            )
        if request.constraint is None:
            return None
        return constraint_source(request.constraint, after_text=spelled)

    def _thinking(self, asked: Input, prompt: _Prompt) -> Thinking | None:
        """Name the block that a constraint leaves free."""
        tokens = self._think_tokens
        if tokens.close_id is None:
            return None
        if prompt.starts_thinking:
            return Thinking(end_id=tokens.close_id)
        is_wanted = isinstance(asked, ChatInput) and asked.thinking is not False
        if not is_wanted or not prompt.may_think or tokens.open_id is None:
            return None
        return Thinking(end_id=tokens.close_id, start_id=tokens.open_id)

    def _override_maker(
        self, request: Request, prompt: _Prompt
    ) -> Callable[[int], TokenOverride] | None:
        if not prompt.starts_thinking and not prompt.may_think:
            return None
        return lambda _index: ThinkingGuard(
            self._think_tokens, budget=request.thinking_budget, is_open=prompt.starts_thinking
        )


def resolve_sampling(
    params: SamplingParams,
    defaults: SamplingDefaults,
    *,
    stop_ids: frozenset[int],
    prompt_logprobs: bool = False,
) -> Sampling:
    """Fill a request's wishes with the model's defaults.

    Raises:
        InvalidRequest: a value is out of its bounds.
    """
    filled = fill(params, defaults)
    return Sampling(
        temperature=filled.temperature,
        top_k=filled.top_k or None,
        top_p=filled.top_p,
        min_p=filled.min_p,
        repetition_penalty=filled.repetition_penalty,
        presence_penalty=filled.presence_penalty,
        frequency_penalty=filled.frequency_penalty,
        seed=params.seed,
        logit_bias=params.logit_bias,
        sequence_bias=filled.sequence_bias,
        max_tokens=params.max_tokens,
        min_tokens=params.min_tokens,
        stop_token_ids=stop_ids,
        ignore_eos=params.ignore_eos,
        logprobs=params.logprobs,
        prompt_logprobs=prompt_logprobs,
    )


def _deadline_s(request: Request) -> float | None:
    return None if request.deadline_s is None else time.monotonic() + request.deadline_s


def _think_tokens(tokenizer: Tokenizer) -> ThinkingTokens:
    close_id = tokenizer.id_of(THINK_CLOSE)
    close_ids = tokenizer.encode(CLOSE_TEXT)
    if close_id is not None:  # masks let one token of line breaks pass before the answer, no more
        close_ids = close_ids[: close_ids.index(close_id) + 2]
    return ThinkingTokens(
        open_id=tokenizer.id_of(THINK_OPEN),
        close_id=close_id,
        close_ids=tuple(close_ids),
        spell=partial(tokenizer.decode, skip_special=False),
    )


def _mask_maker(grammar: Grammar, thinking: Thinking | None) -> Callable[[int], TokenMask]:
    return lambda _index: grammar.start(thinking=thinking)


def _mark(tokenizer: Tokenizer, text: str) -> int | str:
    token_id = tokenizer.id_of(text)
    return text if token_id is None else token_id
