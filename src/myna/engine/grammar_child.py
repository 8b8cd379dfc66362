"""The child process that tries a grammar out before the engine touches it.

It holds the vocabulary, and forks for every grammar: the fork compiles it and walks a few tokens
under small limits of memory and time. A bomb ends a fork, not the child, and never the engine.
Standard library, msgspec and llguidance only: without torch the child starts in a blink.
Not here: what may be asked of a grammar (grammar_source), who starts the child (grammar_prover).
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 * 2**20
MAX_ERROR_CHARS = 300
PROBE_SEED = 0


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what every token spells; `special_ids` spell nothing and only match when named."""

    tokens: tuple[bytes, ...]
    eos_ids: tuple[int, ...]
    special_ids: tuple[int, ...] = ()


class ProofLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound what one proof may take; `probe_tokens` is how far it follows the grammar.

    The engine compiles again what was proved, so `compile_s` is spent twice.
    """

    compile_s: float = 1.0
    follow_s: float = 1.0
    memory_bytes: int = 512 * 2**20
    probe_tokens: int = 16


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the child, once, what it needs for all proofs."""

    vocabulary: Vocabulary
    limits: ProofLimits


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Answer a proof: `error` says why the grammar is no good, and is `None` when it is."""

    error: str | None = None
    size_bytes: int = 0


def parser_limits() -> LLParserLimits:
    """Give the bounds that llguidance itself keeps, in the child and in the engine alike."""
    return LLParserLimits(
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=200_000,
        step_max_items=50_000,
        max_items_in_row=2_000,
        max_lexer_states=50_000,
        max_grammar_size=500_000,
        verbose_errors=False,
    )


def build_matcher(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """Compile a grammar; the matcher carries an error instead of raising one."""
    return LLMatcher(tokenizer, grammar, log_level=0, limits=parser_limits())


def describe_error(matcher: LLMatcher) -> str | None:
    """Give a matcher's error in one short line, or `None` if it has none."""
    if not matcher.is_error():
        return None
    error = " ".join(matcher.get_error().replace("<non-verbose/>", "").split())
    return error if len(error) <= MAX_ERROR_CHARS else error[:MAX_ERROR_CHARS] + "…"


class _Words:
    """Show a vocabulary to llguidance, which asks for tokens of text only where text is forced."""

    bos_token_id = None

    def __init__(
        self, vocabulary: Vocabulary, encode: Callable[[str], Sequence[int]] | None
    ) -> None:
        self.tokens = vocabulary.tokens
        self.eos_token_id = vocabulary.eos_ids[0]
        self.special_token_ids = vocabulary.special_ids
        self.encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        # llguidance tries bytes once, to learn that this is not how to ask.
        if isinstance(text, bytes):
            raise TypeError("this tokenizer reads str")
        return [] if self.encode is None else list(self.encode(text))


def build_tokenizer(
    vocabulary: Vocabulary, *, encode: Callable[[str], Sequence[int]] | None = None
) -> LLTokenizer:
    """Index a vocabulary for llguidance; takes about half a second for 150,000 tokens.

    Args:
        vocabulary: what the tokens spell.
        encode: the model's own tokenization, kept where a grammar leaves only one text to write;
            the longest matching tokens if not given.
    """
    words = _Words(vocabulary, encode)
    tokenizer = LLTokenizer(TokenizerWrapper(words), eos_token=list(vocabulary.eos_ids))
    if words.encode is None:
        words.encode = tokenizer.greedy_tokenize
    return tokenizer


def prove(tokenizer: LLTokenizer, grammar: str, *, limits: ProofLimits) -> Verdict:
    """Compile a grammar and follow it for a few random tokens; ends the process if it is slow."""
    size_before_bytes = _own_bytes()
    signal.setitimer(signal.ITIMER_REAL, limits.compile_s)
    matcher = build_matcher(tokenizer, grammar)
    signal.setitimer(signal.ITIMER_REAL, limits.follow_s)
    choice = random.Random(PROBE_SEED)
    for _ in range(limits.probe_tokens):
        if matcher.is_error() or matcher.is_stopped():
            break
        mask = matcher.compute_logit_bias()
        # An error leaves the end tokens allowed, so there is always one to take.
        matcher.consume_token(_any_allowed(mask, choice))
    signal.setitimer(signal.ITIMER_REAL, 0)
    size_bytes = max(0, _own_bytes() - size_before_bytes)
    return Verdict(error=describe_error(matcher), size_bytes=size_bytes)


def _any_allowed(mask: bytes, choice: random.Random) -> int:
    """Pick an allowed token: the first one at or after a random place, else the first of all."""
    allowed = b"\xc8"  # what llguidance writes for a token that may follow
    found = mask.find(allowed, choice.randrange(len(mask)))
    return found if found >= 0 else mask.find(allowed)


def _own_bytes() -> int:
    """Measure the memory that no file backs; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon")),
        0,
    )


def send_frame(sock: socket.socket, body: bytes) -> None:
    """Send one message, after its length."""
    sock.sendall(len(body).to_bytes(LENGTH_BYTES, "big") + body)


def receive_frame(sock: socket.socket) -> bytes | None:
    """Wait for one message; `None` when the other side is gone or makes no sense."""
    header = _receive_exactly(sock, LENGTH_BYTES)
    if header is None:
        return None
    num_bytes = int.from_bytes(header, "big")
    return _receive_exactly(sock, num_bytes) if num_bytes <= MAX_FRAME_BYTES else None


def _receive_exactly(sock: socket.socket, num_bytes: int) -> bytes | None:
    received = bytearray()
    while len(received) < num_bytes:
        piece = sock.recv(num_bytes - len(received))
        if not piece:
            return None
        received += piece
    return bytes(received)


def _prove_in_fork(
    sock: socket.socket, tokenizer: LLTokenizer, grammar: str, *, limits: ProofLimits
) -> None:
    """Prove a grammar in a fork that a bomb may kill, and answer for it either way."""
    pid = os.fork()
    if pid == 0:
        try:
            _restrict(limits)
            verdict = prove(tokenizer, grammar, limits=limits)
            send_frame(sock, msgspec.msgpack.encode(verdict))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        verdict = Verdict(error=_describe_death(status, limits))
        send_frame(sock, msgspec.msgpack.encode(verdict))


def _restrict(limits: ProofLimits) -> None:
    """Let the system end this process when it takes too much memory, or when its timer rings."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for kind, num_bytes in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (num_bytes, num_bytes))


def _describe_death(status: int, limits: ProofLimits) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return (
            f"it takes longer than {limits.compile_s:g} s to compile, or {limits.follow_s:g} s to"
            " follow; simplify it"
        )
    num_mib = limits.memory_bytes // 2**20
    return f"it cannot be compiled with {num_mib} MiB of memory; simplify it"


def serve(sock: socket.socket) -> None:
    """Answer proofs until the other side is gone."""
    first = receive_frame(sock)
    if first is None:
        return
    opening = msgspec.msgpack.decode(first, type=Opening)
    tokenizer = build_tokenizer(opening.vocabulary)
    send_frame(sock, msgspec.msgpack.encode(Verdict()))
    while (grammar := receive_frame(sock)) is not None:
        _prove_in_fork(sock, tokenizer, grammar.decode(), limits=opening.limits)


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        serve(socket.socket(fileno=0))
