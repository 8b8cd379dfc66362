"""One answer being spoken: its text so far, its frames, and what it will read next.

Not here: the networks' steps (speaker).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.core.requests import RequestId
from myna.speech.cache import VoiceCache
from myna.speech.codes import draw_points, is_stalled
from myna.speech.pace import Pace
from myna.speech.protocols import Beginning, Rules

# Frames of each of the first pieces that become sound; later ones are as long as the last.
# Short at first, so that sound begins early; at twice the speed of hearing there are no gaps. Long
# ones make better use of the weights they read.
PIECES = (1, 2, 4, 8)
# So many vectors of a prompt are read at once, as soon as they are known, whatever else is known by
# then: how a prompt is cut changes roundings, and must not depend on who was faster.
CHUNK_POSITIONS = 128
# Speech that goes on for longer than this after the last of its text has gone astray.
MAX_S_PER_TOKEN = 1.0
MAX_TAIL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class VoiceRequest:
    """Ask for an answer to be spoken.

    Attributes:
        beginning: makes what is read before the first frame.
        seed: equal seeds give equal speech; None takes the likeliest codes.
        deadline_s: the `time.monotonic()` at which the voice fails.
    """

    id: RequestId
    beginning: Beginning
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
        self._num_known = request.beginning.num_known(0)

    @property
    def num_frames(self) -> int:
        """Count the frames so far."""
        return len(self.first_codes)

    @property
    def is_ready(self) -> bool:
        """Tell whether it can speak: it waits for text, rather than speak on without it."""
        if self.is_mute:
            return True
        has_text = bool(self._text) or self._is_text_complete
        return has_text and self._knows_prompt and self.next_chunk() is None

    @property
    def can_go_on(self) -> bool:
        """Tell whether it can speak, or read on in its prompt."""
        return self.is_ready or self.next_chunk() is not None

    @property
    def has_begun(self) -> bool:
        """Tell whether it has read all that comes before its first frame."""
        return self.cache.length >= self._num_beginning

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

    def follow(self, num_read: int) -> None:
        """Learn that who writes has read so many tokens of the prompt."""
        self._num_known = max(self._num_known, self.request.beginning.num_known(num_read))

    def next_chunk(self) -> slice | None:
        """Give the part of its prompt that can be read ahead of any text."""
        start = self.cache.length
        stop = start + CHUNK_POSITIONS
        return slice(start, stop) if stop <= self._num_known else None

    def next_token(self) -> int:
        """Tell which text token is read next; `commit` takes it off."""
        if self._text:
            return self._text[0]
        # Each frame after the first has read one token.
        is_told = self.num_frames > self._num_text
        return self._rules.pad_token if is_told else self._rules.end_token

    def next_inputs(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is read for the next frame: (n, D) vectors, and their (n,) or (3, n) places.

        Args:
            text: (D,) vector of the next token.
        """
        beginning, length = self.request.beginning, self.cache.length
        if self.has_begun:
            assert self.frame is not None, "a voice that has begun has a frame"
            place = torch.tensor([length + beginning.advance])
            return (self.frame + text)[None], place
        prompt = beginning.prompt(slice(length, beginning.num_prompt))
        answer = beginning.answer(self._text[0])
        return torch.cat((prompt, answer)), beginning.positions[..., length:]

    def points(self) -> Tensor | None:
        """Give (Q,) numbers for the next frame's draws."""
        if self.request.seed is None:
            return None
        return draw_points(self.request.seed, self.num_frames, self._rules.num_codebooks)

    def take_chunk(self, chunk: slice) -> None:
        """Note that a part of the prompt was read."""
        self.cache.length = chunk.stop

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

    @property
    def _knows_prompt(self) -> bool:
        return self._num_known >= self.request.beginning.num_prompt

    @property
    def _num_beginning(self) -> int:
        return self.request.beginning.positions.shape[-1]
