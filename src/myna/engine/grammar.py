"""Structured output: keep an answer within a JSON schema, a regular expression or a Lark grammar.

A grammar is measured (grammar_source), proved in a child process (grammar_prover), and only then
compiled here. Each choice of a request follows it with a mask of its own.
Not here: sampling under the mask, and reading tool calls back out of text.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from myna.core.errors import InternalError, InvalidRequest
from myna.engine.grammar_child import (
    ProofLimits,
    Vocabulary,
    build_matcher,
    build_tokenizer,
    describe_error,
)
from myna.engine.grammar_prover import Prover
from myna.engine.grammar_source import GrammarSource

MAX_CACHE_BYTES = 64 * 2**20
# A compiled grammar grows while it is followed, so even the smallest is charged this much.
MIN_CHARGE_BYTES = 256 * 2**10
# What one token's mask may take; what it takes more is owed, and a debt above the maximum ends the
# answer: a grammar that is slow now and then is served, one that stays slow is not.
STEP_S = 0.01
MAX_DEBT_S = 0.5


@dataclass(frozen=True)
class Thinking:
    """Name the tokens around a reasoning block, which is free; the answer after it is not.

    `start_id` is the token that opens the block where the answer may open one itself, as its first
    token; `None` says that the prompt has opened it.
    """

    end_id: int
    start_id: int | None = None


class Grammar:
    """Hold a compiled grammar, from which any number of answers can be started."""

    def __init__(self, matcher: LLMatcher, words: _Words, *, param: str, size_bytes: int) -> None:
        self._matcher = matcher
        self._words = words
        self.param = param
        self.size_bytes = size_bytes
        # Answers share the automaton they build. One that outgrew its limits spoils it for others.
        self.is_spoiled = False

    def start(self, *, thinking: Thinking | None = None) -> GrammarMask:
        """Make the mask of one answer, from its first token on.

        Args:
            thinking: the reasoning block that stays free, if the answer has one.
        """
        return GrammarMask(self, self._matcher.deep_copy(), self._words, thinking=thinking)


class GrammarMask:
    """Restrict one answer to a grammar; an `engine.protocols.TokenMask`."""

    def __init__(
        self, grammar: Grammar, matcher: LLMatcher, words: _Words, *, thinking: Thinking | None
    ) -> None:
        self._grammar = grammar
        self._matcher = matcher
        self._words = words
        self._thinking = thinking
        self._start_id = thinking.start_id if thinking else None
        self._is_thinking = thinking is not None and thinking.start_id is None
        self._may_break_line = False
        self._allowed: bytes | None = None
        self._num_tokens = 0
        self._debt_s = 0.0

    @property
    def is_finished(self) -> bool:
        """Tell whether only the end of the answer may follow."""
        return not self._is_thinking and self._matcher.is_stopped()

    def mask(self, token_ids: Sequence[int]) -> Tensor:
        """Tell which tokens may follow.

        Args:
            token_ids: the answer so far; not read, since `accept` has seen each of them.

        Returns:
            (V,) bool, true where allowed.

        Raises:
            InvalidRequest: the grammar cannot be followed from here within llguidance's limits.
        """
        if self._is_thinking:
            return self._words.while_thinking
        started_s = time.thread_time()
        self._allowed = self._matcher.compute_logit_bias()
        self._charge(started_s)
        mask = torch.frombuffer(bytearray(self._allowed), dtype=torch.uint8).bool()  # (V,)
        if self._start_id is not None:
            mask[self._start_id] = True
        if self._may_break_line:
            mask |= self._words.line_breaks
        return mask

    def accept(self, token_id: int) -> None:
        """Follow the token that was chosen.

        Raises:
            InternalError: the mask did not allow it.
            InvalidRequest: the grammar cannot be followed so far within llguidance's limits.
        """
        self._num_tokens += 1
        allowed, self._allowed = self._allowed, None
        opens_block, self._start_id = token_id == self._start_id, None
        breaks_line, self._may_break_line = self._may_break_line, False
        if self._thinking and (self._is_thinking or opens_block):
            self._is_thinking = token_id != self._thinking.end_id
            # Models leave an empty line between a reasoning block and the answer.
            self._may_break_line = not self._is_thinking
        elif breaks_line and self._is_extra_break(token_id):
            return
        elif allowed is not None and not allowed[token_id]:
            raise InternalError(
                f"token {token_id} was chosen as number {self._num_tokens} of the answer although"
                " the grammar does not allow it"
            )
        else:
            started_s = time.thread_time()
            self._matcher.consume_token(token_id)
            self._charge(started_s)

    def _is_extra_break(self, token_id: int) -> bool:
        return bool(self._words.line_breaks[token_id]) and not self._matcher.validate_tokens(
            [token_id]
        )

    def _charge(self, started_s: float) -> None:
        """Account for the matcher's time, and end the answer when it has lost its way.

        All answers wait for each other's masks: one that is slow again and again has to go.
        """
        spent_s = time.thread_time() - started_s
        self._debt_s = max(0.0, self._debt_s + spent_s - STEP_S)
        error = describe_error(self._matcher)
        if error is None and self._debt_s > MAX_DEBT_S:
            error = f"its masks take longer than {STEP_S * 1000:g} ms each; simplify it"
        if error is not None:
            self._grammar.is_spoiled = True
            raise InvalidRequest(
                f"the grammar of {self._grammar.param} could not be followed beyond token"
                f" {self._num_tokens} of the answer: {error}",
                param=self._grammar.param,
            )


class _Words:
    """Hold the tokens that are allowed beside those of a grammar."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.while_thinking = torch.tensor([token != b"" for token in vocabulary.tokens])  # (V,)
        self.while_thinking[list(vocabulary.eos_ids)] = False
        self.line_breaks = torch.tensor(
            [token in (b"\n", b"\n\n") for token in vocabulary.tokens]
        )  # (V,)


class GrammarCompiler:
    """Compile what requests ask for, with one tokenizer's vocabulary; safe from any thread.

    `compile` may take seconds for what turns out to be a bomb: call it beside the engine's thread.
    Masks belong to the thread that follows them.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        eos_ids: Sequence[int],
        special_ids: Sequence[int] = (),
        encode: Callable[[str], Sequence[int]] | None = None,
        limits: ProofLimits | None = None,
        max_cache_bytes: int = MAX_CACHE_BYTES,
    ) -> None:
        """Keep what will be needed; nothing is built before the first grammar.

        Args:
            tokens: what each token id spells; empty for ids that are never to be written.
            eos_ids: the tokens that end an answer.
            special_ids: tokens that are marks, not text: no grammar writes them unless it names
                them, not even inside a JSON string.
            encode: the model's own tokenization, kept where only one text can be written.
            limits: what proving one grammar may take.
            max_cache_bytes: the memory that compiled grammars may keep for the next request.
        """
        self._vocabulary = Vocabulary(
            tokens=tuple(tokens),
            eos_ids=tuple(eos_ids),
            special_ids=tuple(sorted({*special_ids, *eos_ids})),
        )
        self._encode = encode
        self._prover = Prover(self._vocabulary, limits=limits)
        self._max_cache_bytes = max_cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[bytes, Grammar] = OrderedDict()
        self._cache_bytes = 0
        self._tools: tuple[LLTokenizer, _Words] | None = None

    def compile(self, source: GrammarSource) -> Grammar:
        """Prove and compile a grammar, or find it compiled.

        Raises:
            InvalidRequest: it is not a grammar, or a bomb; the message says which.
            Overloaded: too many others are being proved.
            Unavailable: the process that proves grammars could not be started.
        """
        key = hashlib.sha256(f"{source.param}\n{source.grammar}".encode()).digest()
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None and not cached.is_spoiled:
                self._cache.move_to_end(key)
                return cached
        verdict = self._prover.prove(source.grammar)
        if verdict.error is not None:
            raise _refusal(source, verdict.error)
        tokenizer, words = self._tokenizer_and_words()
        matcher = build_matcher(tokenizer, source.grammar)
        error = describe_error(matcher)
        if error is not None:
            raise _refusal(source, error)
        size_bytes = max(MIN_CHARGE_BYTES, verdict.size_bytes)
        grammar = Grammar(matcher, words, param=source.param, size_bytes=size_bytes)
        self._keep(key, grammar)
        return grammar

    def warm(self) -> None:
        """Start the child and index the vocabulary now, so that the first request need not wait."""
        self._prover.warm()
        self._tokenizer_and_words()

    def close(self) -> None:
        """End the child process and forget all grammars."""
        self._prover.close()
        with self._lock:
            self._cache.clear()
            self._cache_bytes = 0

    def _tokenizer_and_words(self) -> tuple[LLTokenizer, _Words]:
        with self._lock:
            if self._tools is None:
                tokenizer = build_tokenizer(self._vocabulary, encode=self._encode)
                self._tools = (tokenizer, _Words(self._vocabulary))
            return self._tools

    def _keep(self, key: bytes, grammar: Grammar) -> None:
        """Remember a grammar, forgetting those unused for longest when memory is short."""
        with self._lock:
            replaced = self._cache.pop(key, None)
            self._cache_bytes += grammar.size_bytes - (replaced.size_bytes if replaced else 0)
            self._cache[key] = grammar
            while self._cache_bytes > self._max_cache_bytes:
                _, oldest = self._cache.popitem(last=False)
                self._cache_bytes -= oldest.size_bytes


def _refusal(source: GrammarSource, error: str) -> InvalidRequest:
    return InvalidRequest(f"{source.param} cannot be enforced: {error}", param=source.param)
