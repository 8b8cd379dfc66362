"""What the talker reads before an answer: the users' turns, as far as the thinker has read them.

Not here: how its vectors are made (models.qwen3_omni.talker), when they are read (speech.speaker).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from myna.layers.cache import Rows
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import Layout, talker_positions
from myna.models.qwen3_omni.positions import advance
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.models.qwen3_omni.talker import (
    ANSWER_ROWS,
    Talker,
    Turns,
    answer_inputs,
    user_inputs,
)


class TalkerBeginning:
    """Make the talker's vectors of one prompt, piece by piece; satisfies `Beginning`.

    Args:
        talker: projects and embeds.
        config: of the whole model, which can speak.
        layout: of the thinker's prompt.
        turns: what `find_turns` says of it.
        states: the thinker's hidden states at its media, written while the thinker reads.
        speaker_id: the voice's code.
        read: makes the talker's vectors of text tokens.
    """

    def __init__(
        self,
        talker: Talker,
        config: Config,
        *,
        layout: Layout,
        turns: Turns,
        states: Rows | None,
        speaker_id: int,
        read: Callable[[Tensor], Tensor],
    ) -> None:
        self._talker = talker
        self._config = config
        self._layout = layout
        self._turns = turns
        self._states = states
        self._speaker_id = speaker_id
        self._read = read

    @cached_property
    def positions(self) -> Tensor:
        """Give the place of each vector, (3, N)."""
        stand_in = torch.full((ANSWER_ROWS,), self._speech.roles.tts_pad)
        rows = self._turns.user_rows
        return talker_positions(
            self._layout,
            user_rows=rows,
            token_ids=torch.cat((self._layout.token_ids[rows], stand_in)),
            config=self._config.thinker,
        )

    @cached_property
    def advance(self) -> float:
        """Tell how far later positions are ahead of counting."""
        return advance(self.positions)

    @property
    def num_prompt(self) -> int:
        """Count the vectors of the users' turns."""
        return len(self._turns.user_rows)

    def num_known(self, num_read: int) -> int:
        """Count those that can be made; without media it takes no thinker to make them."""
        if self._states is None:
            return self.num_prompt
        return int(torch.searchsorted(self._turns.user_rows, num_read))

    def prompt(self, rows: slice) -> Tensor:
        """Make some vectors of the users' turns: (n, D)."""
        return user_inputs(
            self._talker,
            self._layout.token_ids,
            self._turns.user_rows[rows],
            media=self._states,
            read=self._read,
        )

    def answer(self, first_id: int) -> Tensor:
        """Make the vectors from the answer's header to its first token: (ANSWER_ROWS, D)."""
        return answer_inputs(
            self._talker,
            self._speech,
            header=self._turns.header,
            first_id=first_id,
            speaker_id=self._speaker_id,
            read=self._read,
        )

    @property
    def _speech(self) -> SpeechConfig:
        assert self._config.speech is not None, "a model that cannot speak has no talker"
        return self._config.speech
