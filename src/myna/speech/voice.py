"""One answer being spoken: its text so far, its frames, and what it will read next.

Not here: the networks' steps (speaker).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from myna.core.requests import RequestId
from myna.speech.cache import VoiceCache
from myna.speech.codes import draw_points, is_stalled
from myna.speech.pace import Pace
from myna.speech.protocols import Beginning, Rules

# Frames of each of the first pieces that become sound; later ones are as long as the last.
# Short at first, so that sound begins early.
PIECES = (1, 2, 4)
# Speech that goes on for longer than this after the last of its text has gone astray.
MAX_S_PER_TOKEN = 1.0
MAX_TAIL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class VoiceRequest:
    """Ask for an answer to be spoken.

    Attributes:
        begin: makes what is read before the first frame, of the answer's first token.
        seed: equal seeds give equal speech; None takes the likeliest codes.
        deadline_s: the `time.monotonic()` at which the voice fails.
    """

    id: RequestId
    begin: Callable[[int], Beginning]
    seed: int | None
    deadline_s: float | None = None


class Voice:
    """Follow one voice.

    Attributes:
        cache: its keys and values.
        state: where its sound stands.
        first_codes: of its frames so far.
        unheard: (Q,) codes of frames that are not sound yet.
        frame: (D,) vector of the last frame.
        is_over: no frame follows.
        pace: how fast it speaks.
    """

    def __init__(
        self, request: VoiceRequest, cache: VoiceCache, state: object, rules: Rules
    ) -> None:
        self.request = request
        self.cache = cache
        self.state = state
        self.first_codes: list[int] = []
        self.unheard: list[Tensor] = []
        self.frame: Tensor | None = None
        self.is_over = False
        self.pace = Pace(rules.frame_s)
        self._rules = rules
        self._text: deque[int] = deque()
        self._num_text = 0
        self._is_text_complete = False
        self._num_pieces = 0
        self._beginning: Beginning | None = None

    @property
    def num_frames(self) -> int:
        """Count the frames so far."""
        return len(self.first_codes)

    @property
    def is_ready(self) -> bool:
        """Tell whether it can go on: it waits for text, rather than speak on without it."""
        return bool(self._text) or self._is_text_complete

    @property
    def is_mute(self) -> bool:
        """Tell whether there is nothing to be said."""
        return self._is_text_complete and self._num_text == 0

    @property
    def is_sampled(self) -> bool:
        """Tell whether codes are drawn."""
        return self.request.seed is not None

    def say(self, token_ids: list[int]) -> None:
        """Add text."""
        self._text += token_ids
        self._num_text += len(token_ids)

    def end_text(self) -> None:
        """Say that no text follows."""
        self._is_text_complete = True

    def next_token(self) -> int:
        """Tell which text token is read next; `commit` takes it off."""
        if self._text:
            return self._text[0]
        # Each frame after the first has read one token.
        is_told = self.num_frames > self._num_text
        return self._rules.pad_token if is_told else self._rules.end_token

    def beginning(self) -> Beginning | None:
        """Give what is read before the first frame; None once that is done."""
        if self.cache.length > 0:
            return None
        if self._beginning is None:
            self._beginning = self.request.begin(self._text[0])
        return self._beginning

    def position(self) -> float:
        """Give the position of the next vector after the beginning."""
        assert self._beginning is not None, "the voice has not begun"
        return self.cache.length + self._beginning.advance

    def points(self) -> Tensor | None:
        """Give (Q,) numbers for the next frame's draws."""
        if self.request.seed is None:
            return None
        return draw_points(self.request.seed, self.num_frames, self._rules.num_codebooks)

    def commit(self, num_positions: int) -> None:
        """Take over a step: so many positions were read, and one text token with them."""
        self.cache.length += num_positions
        if self._text:
            self._text.popleft()

    def add_frame(self, codes: Tensor, vector: Tensor) -> None:
        """Take over a frame: (Q,) codes, and their (D,) vector."""
        self.first_codes.append(int(codes[0]))
        self.unheard.append(codes)
        self.frame = vector

    def piece_size(self) -> int | None:
        """Tell how many frames are to become sound now; None while there are too few."""
        size = PIECES[min(self._num_pieces, len(PIECES) - 1)]
        if self.is_over:
            return min(size, len(self.unheard)) or None
        return size if len(self.unheard) >= size else None

    def take_piece(self, size: int, state: object) -> None:
        """Note that so many frames became sound."""
        del self.unheard[:size]
        self.state = state
        self._num_pieces += 1

    def trouble(self) -> str | None:
        """Name what shows that the speech will not end by itself."""
        if self.cache.length >= self._rules.max_positions:
            return "its context is full"
        if not self._is_text_complete or self._text:
            return None
        if is_stalled(self.first_codes):
            return "it goes in circles"
        limit_s = MAX_TAIL_S + MAX_S_PER_TOKEN * self._num_text
        if self.num_frames * self._rules.frame_s > limit_s:
            return "it is too long for its text"
        return None
