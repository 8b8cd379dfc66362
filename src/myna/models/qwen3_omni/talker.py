"""Talker: a decoder that speaks what the thinker writes, one frame of sound for each step.

It never sees words as words: a user's text comes as the thinker's embeddings, media as the
thinker's hidden states, and the answer as a track of text beside the track of codes.
`talker_prompt` sets the two tracks:

    text   header  header  header  pad      pad        pad        pad      bos  first word
    codes    -       -       -     nothink  think_bos  think_eos  speaker  pad  bos

From there on each step adds the next word (after the last, `tts_eos`; then `tts_pad`) to the frame
that was just chosen.

Not here: a frame's codes after the first (code_predictor), sampling, caches, waiting for text.
Source: transformers 5.23 `Qwen3OmniMoeTalkerForConditionalGeneration`,
`Qwen3OmniMoeForConditionalGeneration`; arXiv:2509.17765 §2.
Differs: as decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.core.errors import InvalidRequest
from myna.kernels.depth import Frames
from myna.layers.cache import Rows
from myna.layers.linear import Linear
from myna.models.qwen3_omni.code_predictor import CodePredictor
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.speech_config import RoleIds, SpeechConfig, TalkerConfig

HEADER_TOKENS = 3  # im_start, assistant, line break
ANSWER_ROWS = HEADER_TOKENS + 6  # with what stands beside the codes, and the first word
NUM_CONTROLS = 1024  # the reference's code holds it: codes at the vocabulary's end are no sound

ReadText = Callable[[Tensor], Tensor]  # text tokens (n,) int64 -> the talker's vectors (n, D)


class Projection(nn.Module):
    """Bring the thinker's vectors to the talker's width."""

    def __init__(self, config: TalkerConfig) -> None:
        super().__init__()
        hidden = config.text.hidden_width
        self.linear_fc1 = Linear(config.thinker_width, hidden, bias=True)
        self.linear_fc2 = Linear(hidden, config.text.width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, thinker's D) to (n, D)."""
        return self.linear_fc2(functional.silu(self.linear_fc1(x)))


class Talker(nn.Module):
    """Hold what chooses codes.

    Attributes:
        decoder: chooses the first code of each frame; what it reads comes as replaced rows.
        text_projection: of the thinker's embeddings.
        hidden_projection: of the thinker's hidden states.
        code_predictor: chooses the others.
    """

    def __init__(self, config: TalkerConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = OmniDecoder(config.text)
        self.text_projection = Projection(config)
        self.hidden_projection = Projection(config)
        self.code_predictor = CodePredictor(config.code_predictor)

    def embed(self, codes: Tensor) -> Tensor:
        """Read codes that need not be sound: (n,) int64 -> (n, D)."""
        return self.decoder.embed_tokens(codes, self.decoder.dtype)

    def fuse(self) -> None:
        """Run each step of a frame as one call from now on, where the compiled kernels can."""
        self.decoder.fuse()
        self.code_predictor.fuse()

    def complete(self, hidden: Tensor, first: Tensor, points: Tensor | None = None) -> Frames:
        """Choose the rest of frames whose first codes are chosen.

        Args:
            hidden: (B, D), the decoder's states that chose the first codes.
            first: (B,) int64, those codes.
            points: (B, Q-1) from [0, 1), one for each draw; None takes the likeliest codes.

        Returns:
            All Q codes of each, and what `embed_frames` makes of them.
        """
        vectors = self.embed(first)
        rest = self.code_predictor.predict(hidden, vectors, points)
        return Frames(torch.cat((first[:, None], rest.codes), 1), vectors + rest.vectors)

    def embed_frames(self, codes: Tensor) -> Tensor:
        """Sum the embeddings of whole frames: (B, Q) int64 -> (B, D)."""
        return self.embed(codes[:, 0]) + self.code_predictor.embed(codes[:, 1:])


@dataclass(frozen=True)
class Turns:
    """Say what a talker hears of the thinker's prompt.

    Attributes:
        user_rows: (U,) int64, which tokens belong to users' turns, their markers included.
        header: (3,) int64, the tokens that open the answer.
        begun: (n,) int64, what the prompt already holds of the answer.
    """

    user_rows: Tensor
    header: Tensor
    begun: Tensor


@dataclass(frozen=True)
class TalkerPrompt:
    """Hold what the talker reads before its first step.

    Attributes:
        inputs: (N, D)
        token_ids: (N,) int64, text tokens that stand for them when positions are counted.
    """

    inputs: Tensor
    token_ids: Tensor


def find_turns(token_ids: Tensor, roles: RoleIds) -> Turns:
    """Find the users' turns and the answer's beginning in a prompt of (T,) tokens.

    Raises:
        InvalidRequest: no answer is begun.
    """
    starts = (token_ids == roles.im_start).nonzero().flatten()  # (turns,)
    turn_of = torch.searchsorted(starts, torch.arange(len(token_ids)), right=True) - 1  # (T,)
    speakers = token_ids[(starts + 1).clamp(max=len(token_ids) - 1)]  # (turns,)
    answers = starts[speakers == roles.assistant]
    if len(answers) == 0:
        raise InvalidRequest(
            "speech was asked for, but the prompt begins no assistant's turn; send messages, or "
            "leave the speech out."
        )
    is_user = (turn_of >= 0) & (speakers == roles.user)[turn_of.clamp(min=0)]
    answer = token_ids[int(answers[-1]) :]
    return Turns(is_user.nonzero().flatten(), answer[:HEADER_TOKENS], answer[HEADER_TOKENS:])


def talker_prompt(
    talker: Talker,
    config: SpeechConfig,
    *,
    token_ids: Tensor,
    turns: Turns,
    media: Rows | None,
    first_id: int,
    speaker_id: int,
    read: ReadText,
) -> TalkerPrompt:
    """Set the talker's two tracks up to the answer's first word.

    Args:
        talker: projects and embeds.
        config: names codes and text tokens.
        token_ids: (T,) int64, the thinker's prompt.
        turns: what `find_turns` says of it.
        media: the thinker's hidden states, after `talker.hidden_layer` layers, at the prompt's
            placeholders of sound, pictures and videos.
        first_id: the answer's first token.
        speaker_id: the voice's code.
        read: makes the talker's vectors of text tokens.
    """
    user = user_inputs(talker, token_ids, turns.user_rows, media=media, read=read)
    answer = answer_inputs(
        talker, config, header=turns.header, first_id=first_id, speaker_id=speaker_id, read=read
    )
    stand_in = torch.full((len(answer),), config.roles.tts_pad)
    return TalkerPrompt(
        inputs=torch.cat((user, answer)),
        token_ids=torch.cat((token_ids[turns.user_rows], stand_in)),
    )


def answer_inputs(
    talker: Talker,
    config: SpeechConfig,
    *,
    header: Tensor,
    first_id: int,
    speaker_id: int,
    read: ReadText,
) -> Tensor:
    """Make the talker's vectors from the answer's header to its first word: (ANSWER_ROWS, D).

    Args:
        talker: embeds.
        config: names codes and text tokens.
        header: (HEADER_TOKENS,) int64, the tokens that open the answer.
        first_id: the answer's first token.
        speaker_id: the voice's code.
        read: makes the talker's vectors of text tokens.
    """
    roles, codec = config.roles, config.talker.codec
    first = torch.tensor([first_id])
    pad, bos = read(torch.tensor([roles.tts_pad, roles.tts_bos])).split(1)  # (1, D) each
    text = torch.cat((read(header), pad.expand(4, -1), bos, read(first)))  # (ANSWER_ROWS, D)
    codes = [codec.nothink, codec.think_bos, codec.think_eos, speaker_id, codec.pad, codec.bos]
    beside = talker.embed(torch.tensor(codes).to(text.device))
    return text + functional.pad(beside, (0, 0, HEADER_TOKENS, 0))


def user_inputs(
    talker: Talker, token_ids: Tensor, rows: Tensor, *, media: Rows | None, read: ReadText
) -> Tensor:
    """Make the talker's vectors of users' tokens, all of them or some: (U, D).

    Args:
        talker: projects.
        token_ids: (T,) int64, the thinker's prompt.
        rows: (U,) int64, which of its tokens.
        media: as `talker_prompt` has them; those at other rows are left out.
        read: makes the talker's vectors of text tokens.
    """
    if media is None:
        return read(token_ids[rows])
    is_media = torch.isin(rows, media.rows)  # (U,)
    chosen = torch.isin(media.rows, rows)
    text = read(token_ids[rows[~is_media]])
    out = text.new_empty(len(rows), text.shape[-1])
    out[(~is_media).to(out.device)] = text
    out[is_media.to(out.device)] = talker.hidden_projection(media.values[chosen].to(text))
    return out


def speaker_id(config: TalkerConfig, name: str) -> int:
    """Find a voice's code.

    Raises:
        InvalidRequest: there is no such voice.
    """
    found = config.speakers.get(name.lower())
    if found is None:
        raise InvalidRequest(
            f"the voice {name!r:.80} was asked for; this model has "
            f"{', '.join(sorted(config.speakers))}."
        )
    return found


def suppressed_codes(config: TalkerConfig) -> tuple[int, ...]:
    """List the codes that must never be chosen: controls, but for the end of speech."""
    vocab_size = config.text.vocab_size
    controls = range(max(0, vocab_size - NUM_CONTROLS), vocab_size)
    return tuple(code for code in controls if code != config.codec.eos)
