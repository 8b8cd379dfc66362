"""What the talker reads and should say while it is trained: two tracks, side by side in rectangles.

A sequence is what `models.qwen3_omni.talker` sets up and `speech.voice` goes on with: the user's
turn, the header, the controls with the answer's first word, then a row for each frame that was just
spoken, with the next word. A user's turn is made up here, for what was asked must not change how
the answer sounds; places of sound and pictures are given any vectors.

Axis letters beside the project's: U rows of the user's turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from myna.models.qwen3_omni.positions import Picture, Sound, Span, positions
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.train.examples import UNSCORED
from myna.train.shapes import NUM_CODEBOOKS, VOICE
from myna.train.voice.shards import SLOTS
from myna.train.voice.teacher import BLANK

Codes = NDArray[np.int64]
SILENT = 0  # the text token of rows that have a medium's vector instead; it is not read
MANY = 8  # batches that are sorted by length together
MAX_ASKED = 6  # words of a made-up question
SOUND_TOKENS = (8, 40)
PICTURE_SIDE = (2, 6)


@dataclass(frozen=True, kw_only=True)
class Saying:
    """Hold one utterance to learn.

    Attributes:
        text: token ids.
        codes: (T, Q).
        phonemes: (T, SLOTS).
        word_of_token: (n,), to which word each token belongs.
        word_of_frame: (T,), which word is spoken in each frame; `UNSCORED` if that is not known.
    """

    text: Sequence[int]
    codes: Codes
    phonemes: Codes
    word_of_token: Sequence[int]
    word_of_frame: Codes


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Hold the user's turn that comes before an answer.

    Attributes:
        token_ids: (U,), its markers included.
        medium: where a sound or a picture is, if there is one.
    """

    token_ids: Sequence[int]
    medium: Span | None = None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Hold B sequences, padded at their ends to T rows.

    Attributes:
        text: (B, T) int64, what is on the track of text.
        is_medium: (B, T) bool, rows that a hidden state of the thinker's fills.
        codes: (B, T) int64, the first code, or control, on the other track.
        has_code: (B, T) bool, whether there is one.
        others: (B, T, Q-1) int64, the other codes of the frame.
        is_frame: (B, T) bool, whether there are any.
        positions: (3, B*T) float32.
        next_codes: (B, T) int64, the first code that should be chosen, or `UNSCORED`.
        next_others: (B, T, Q-1) int64, those that follow; they count where a frame is chosen.
        next_phonemes: (B, T, SLOTS) int64 of that frame, or `UNSCORED`.
        makes_frame: (B, T) bool, whether a frame should be chosen, not the end.
        written: (B, T) int64, the answer's word that is on the track of text, or `UNSCORED`.
        spoken: (B, T) int64, the word of the frame that is read, or `UNSCORED`.
        to_speak: (B, T) int64, the word of the frame that should be chosen, or `UNSCORED`.
    """

    text: Tensor
    is_medium: Tensor
    codes: Tensor
    has_code: Tensor
    others: Tensor
    is_frame: Tensor
    positions: Tensor
    next_codes: Tensor
    next_others: Tensor
    next_phonemes: Tensor
    makes_frame: Tensor
    written: Tensor
    spoken: Tensor
    to_speak: Tensor


def words_of_frames(phonemes: Codes, *, num_words: int) -> Codes:
    """Number the word that is spoken in each frame.

    Args:
        phonemes: (T, SLOTS), in which gaps part words.
        num_words: that there must be.

    Returns:
        (T,) int64; all `UNSCORED` if there are not so many words.
    """
    is_gap = phonemes.flatten() == BLANK
    begins = is_gap & ~np.concatenate(([False], is_gap[:-1]))
    words = np.cumsum(begins)
    if words[-1] + 1 != num_words:
        return np.full(len(phonemes), UNSCORED)
    found: Codes = words.reshape(phonemes.shape)[:, SLOTS // 2]
    return found


def sheet(
    lessons: Sequence[tuple[Turn, Saying]],
    config: SpeechConfig,
    *,
    header: Sequence[int],
    positions_per_s: int,
) -> Sheet:
    """Set lessons side by side.

    Args:
        lessons: turns with the answers to be spoken.
        config: numbers codes and text tokens.
        header: (3,) tokens that open an answer.
        positions_per_s: how far a second of video advances.
    """
    roles, codec = config.roles, config.talker.codec
    speaker = config.talker.speakers[VOICE]
    controls = (codec.nothink, codec.think_bos, codec.think_eos, speaker, codec.pad, codec.bos)
    opening = (*header, *(roles.tts_pad,) * 4, roles.tts_bos)
    lengths = [len(t.token_ids) + len(opening) + 1 + len(s.codes) for t, s in lessons]
    size, length = len(lessons), max(lengths)
    text = torch.full((size, length), roles.tts_pad)
    codes = torch.zeros(size, length, dtype=torch.int64)
    others = torch.zeros(size, length, NUM_CODEBOOKS - 1, dtype=torch.int64)
    next_codes, next_others = torch.full_like(codes, UNSCORED), torch.zeros_like(others)
    next_phonemes = torch.full((size, length, SLOTS), UNSCORED)
    is_medium, has_code, is_frame, makes_frame = torch.zeros(4, size, length, dtype=torch.bool)
    written, spoken, to_speak = torch.full((3, size, length), UNSCORED)
    places = torch.zeros(3, size, length)
    for i, (turn, saying) in enumerate(lessons):
        begin = len(turn.token_ids) + len(opening)  # the row of the first word
        said, stop = saying.text, lengths[i]
        row = [*turn.token_ids, *opening, *said, roles.tts_eos]
        text[i, : min(stop, len(row))] = torch.tensor(row[:stop])
        spans = [] if turn.medium is None else [turn.medium]
        for span in spans:
            is_medium[i, span.start + 1 : span.stop - 1] = True
        places[:, i, :stop] = positions(stop, spans, positions_per_s=positions_per_s)
        codes[i, begin + 1 - len(controls) : begin + 1] = torch.tensor(controls)
        frames = torch.from_numpy(saying.codes)
        codes[i, begin + 1 : stop] = frames[:, 0]
        others[i, begin + 1 : stop] = frames[:, 1:]
        has_code[i, begin + 1 - len(controls) : stop] = True
        is_frame[i, begin + 1 : stop] = True
        next_codes[i, begin : stop - 1] = frames[:, 0]
        next_codes[i, stop - 1] = codec.eos
        next_others[i, begin : stop - 1] = frames[:, 1:]
        next_phonemes[i, begin : stop - 1] = torch.from_numpy(saying.phonemes)
        makes_frame[i, begin : stop - 1] = True
        num_read = min(len(said), stop - begin)
        written[i, begin : begin + num_read] = torch.tensor(saying.word_of_token[:num_read])
        spoken[i, begin + 1 : stop] = torch.from_numpy(saying.word_of_frame)
        to_speak[i, begin : stop - 1] = torch.from_numpy(saying.word_of_frame)
    return Sheet(
        text=text,
        is_medium=is_medium,
        codes=codes,
        has_code=has_code,
        others=others,
        is_frame=is_frame,
        positions=places.flatten(1),
        next_codes=next_codes,
        next_others=next_others,
        next_phonemes=next_phonemes,
        makes_frame=makes_frame,
        written=written,
        spoken=spoken,
        to_speak=to_speak,
    )


def misheard(made: Sheet, rng: np.random.Generator, *, most: float) -> Sheet:
    """Replace some of the frames that the talker reads by other frames of the batch.

    When it speaks it reads what it has chosen itself, mistakes and all; a talker that has only read
    perfect frames is lost after the first slip.

    Args:
        made: what was set up; what should be chosen stays.
        rng: of all draws.
        most: of a sequence's frames; shares are drawn up to that.
    """
    shares = rng.uniform(0, most, (len(made.codes), 1))
    is_wrong = torch.from_numpy(rng.random(made.codes.shape) < shares) & made.is_frame
    codes, others = made.codes.clone(), made.others.clone()
    frames = made.is_frame.flatten().nonzero()[:, 0]
    taken = frames[torch.from_numpy(rng.integers(len(frames), size=int(is_wrong.sum())))]
    codes[is_wrong] = made.codes.flatten()[taken]
    others[is_wrong] = made.others.flatten(0, 1)[taken]
    return replace(made, codes=codes, others=others)


def plan(lengths: Sequence[int], *, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Deal all utterances into batches of about equal lengths, anew in each epoch.

    Args:
        lengths: of each.
        size: of a batch; what is left over waits for another epoch.
        seed: of the dealing.
        epoch: which one.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), MANY * size):
        some = sorted(order[start : start + MANY * size].tolist(), key=lambda i: lengths[i])
        batches += [some[i : i + size] for i in range(0, len(some) - size + 1, size)]
    dealt: list[list[int]] = [batches[i] for i in rng.permutation(len(batches))]
    return dealt


@dataclass(frozen=True, kw_only=True)
class TurnIds:
    """Hold the tokens around a user's words, and around media: first and last."""

    opening: tuple[int, ...]
    closing: tuple[int, ...]
    sound: tuple[int, int]
    picture: tuple[int, int]


def draw_turn(
    words: Sequence[int], rng: np.random.Generator, ids: TurnIds, *, with_medium: bool
) -> Turn:
    """Make up a user's turn of a few words.

    Args:
        words: (n,) token ids to take the words from.
        rng: of all draws.
        ids: tokens that mark turns and media.
        with_medium: let a sound or a picture come first, and perhaps no words.
    """
    start = int(rng.integers(max(1, len(words) - 2)))
    asked = list(words[start : start + int(rng.integers(1, MAX_ASKED))])
    if not with_medium:
        return Turn(token_ids=[*ids.opening, *asked, *ids.closing])
    medium: Sound | Picture = Sound(int(rng.integers(*SOUND_TOKENS)))
    if rng.random() < 0.5:
        medium = Picture(*(int(side) for side in rng.integers(*PICTURE_SIDE, size=2)))
    first = len(ids.opening)
    begin, end = ids.sound if isinstance(medium, Sound) else ids.picture
    enclosed = [begin, *(SILENT,) * medium.num_tokens, end]
    if rng.random() < 0.5:
        asked = []
    return Turn(
        token_ids=[*ids.opening, *enclosed, *asked, *ids.closing],
        medium=Span(medium, first, first + len(enclosed)),
    )
