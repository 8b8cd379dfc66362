from dataclasses import fields

import numpy as np
import pytest
import torch

from beginnings import TokenBeginning
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.positions import Picture, Sound
from myna.models.qwen3_omni.talker import find_turns, talker_prompt
from myna.speech.protocols import Rules
from myna.speech.voice import Voice, VoiceRequest
from myna.train.examples import UNSCORED
from myna.train.nano_config import nano_config
from myna.train.shapes import NUM_CODEBOOKS
from myna.train.stages.talker import fresh
from myna.train.voice.lessons import (
    Saying,
    Sheet,
    Turn,
    TurnIds,
    draw_turn,
    misheard,
    plan,
    sheet,
    words_of_frames,
)
from myna.train.voice.pupil import Pupil
from myna.train.voice.shards import SLOTS
from myna.train.voice.teacher import BLANK

TEXT = (300, 301, 302)
IDS = TurnIds(opening=(1, 2, 3), closing=(4, 5), sound=(6, 7), picture=(8, 9))


@pytest.fixture(scope="module")
def config() -> Config:
    return nano_config()


@pytest.fixture(scope="module")
def pupil(config: Config) -> Pupil:
    return fresh(config)


def saying(num_frames: int, text: tuple[int, ...] = TEXT) -> Saying:
    rng = np.random.default_rng(num_frames)
    return Saying(
        text=text,
        codes=rng.integers(256, size=(num_frames, NUM_CODEBOOKS)),
        phonemes=rng.integers(100, size=(num_frames, SLOTS)),
        word_of_token=range(len(text)),
        word_of_frame=np.arange(num_frames) * len(text) // num_frames,
    )


def header(config: Config) -> tuple[int, int, int]:
    assert config.speech is not None
    roles = config.speech.roles
    return (roles.im_start, roles.assistant, 10)


def made(config: Config, *lessons: tuple[Turn, Saying]) -> Sheet:
    assert config.speech is not None
    return sheet(lessons, config.speech, header=header(config), positions_per_s=13)


def user_turn(config: Config) -> list[int]:
    assert config.speech is not None
    roles = config.speech.roles
    return [roles.im_start, roles.user, 10, 200, 201, roles.im_end, 10]


@torch.no_grad()
def test_a_lesson_is_what_the_talker_is_served(config: Config, pupil: Pupil) -> None:
    assert config.speech is not None
    turn, said, talker = user_turn(config), saying(6), pupil.talker

    def read(ids: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = talker.text_projection(pupil.words[ids])
        return projected

    prompt_ids = torch.tensor([*turn, *header(config)])
    prompt = talker_prompt(
        talker,
        config.speech,
        token_ids=prompt_ids,
        turns=find_turns(prompt_ids, config.speech.roles),
        media=None,
        first_id=TEXT[0],
        speaker_id=config.speech.talker.speakers["nano"],
        read=read,
    )
    voice = Voice(
        VoiceRequest(id="one", beginning=TokenBeginning(read, prompt_ids), seed=None),
        cache=None,
        state=None,
        rules=Rules(
            num_codebooks=NUM_CODEBOOKS,
            end_code=config.speech.talker.codec.eos,
            suppressed=(),
            end_token=config.speech.roles.tts_eos,
            pad_token=config.speech.roles.tts_pad,
            frame_s=0.08,
            max_positions=100,
        ),
    )
    voice.say(list(TEXT))
    voice.end_text()
    voice.cache = type("Cache", (), {"length": 0})()
    voice.commit(len(prompt.inputs))
    rows = [prompt.inputs]
    for codes in torch.from_numpy(said.codes):
        vector = talker.embed_frames(codes[None])[0]
        voice.add_frame(codes, vector)
        rows.append((vector + read(torch.tensor([voice.next_token()]))[0])[None])
        voice.commit(1)
    served = torch.cat(rows)
    learnt = pupil.inputs(made(config, (Turn(token_ids=turn), said)), torch.empty(0, 256))
    torch.testing.assert_close(learnt, served)


def test_every_row_is_told_the_frame_that_follows(config: Config) -> None:
    assert config.speech is not None
    said = saying(4)
    lesson = made(config, (Turn(token_ids=user_turn(config)), said), (Turn(token_ids=[]), said))
    rows = lesson.makes_frame[0].nonzero()[:, 0]
    assert lesson.next_codes[0, rows].tolist() == said.codes[:, 0].tolist()
    assert lesson.next_others[0, rows].tolist() == said.codes[:, 1:].tolist()
    assert lesson.next_phonemes[0, rows].tolist() == said.phonemes.tolist()
    assert int(lesson.next_codes[0, rows[-1] + 1]) == config.speech.talker.codec.eos
    assert int((lesson.next_codes[0] != UNSCORED).sum()) == 5
    assert lesson.codes[0, rows[1:]].tolist() == said.codes[:-1, 0].tolist()
    assert not lesson.makes_frame[1, -7:].any()  # the shorter one is filled up
    assert lesson.to_speak[0, rows].tolist() == said.word_of_frame.tolist()
    assert lesson.spoken[0, rows + 1].tolist() == said.word_of_frame.tolist()
    written = lesson.written[0]
    assert written[written != UNSCORED].tolist() == [0, 1, 2]
    assert lesson.text[0, written != UNSCORED].tolist() == list(TEXT)


def test_gaps_part_the_words_of_frames() -> None:
    slots = [0, 5, 5, 6, 6, BLANK, BLANK, 7, 7, 7, 0, 0]
    phonemes = np.array(slots).reshape(3, SLOTS)
    assert words_of_frames(phonemes, num_words=2).tolist() == [0, 1, 1]
    assert words_of_frames(phonemes, num_words=3).tolist() == [UNSCORED] * 3


@pytest.mark.parametrize("medium", [Sound(5), Picture(2, 3)])
def test_a_medium_is_read_from_hidden_states(
    config: Config, pupil: Pupil, medium: Sound | Picture
) -> None:
    turn = None
    for seed in range(100):
        rng = np.random.default_rng(seed)
        turn = draw_turn(TEXT, rng, IDS, with_medium=True)
        if turn.medium is not None and isinstance(turn.medium.medium, type(medium)):
            break
    assert turn is not None
    assert turn.medium is not None
    lesson = made(config, (turn, saying(3)))
    num_media = turn.medium.medium.num_tokens
    assert int(lesson.is_medium.sum()) == num_media
    rows = lesson.is_medium.flatten().nonzero()[:, 0]
    media = torch.randn(num_media, 256)
    found = pupil.inputs(lesson, media)[rows]
    torch.testing.assert_close(found, pupil.talker.hidden_projection(media))


def test_a_turn_without_a_medium_is_a_few_words() -> None:
    turn = draw_turn(TEXT, np.random.default_rng(0), IDS, with_medium=False)
    assert turn.token_ids[:3] == [1, 2, 3]
    assert turn.token_ids[-2:] == [4, 5]
    assert set(turn.token_ids[3:-2]) <= set(TEXT)


def test_an_epoch_deals_every_utterance_once_but_for_the_rest() -> None:
    lengths = [i % 17 for i in range(205)]
    batches = plan(lengths, size=10, seed=1, epoch=0)
    dealt = [i for batch in batches for i in batch]
    assert len(batches) == 20
    assert len(set(dealt)) == len(dealt) == 200
    assert batches != plan(lengths, size=10, seed=1, epoch=1)
    widths = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(widths) / len(widths) < 6  # batches are of about equal lengths


def test_some_frames_are_misheard_and_none_that_should_be_chosen_changes() -> None:
    rng = np.random.default_rng(0)
    shape = (20, 50)
    is_frame = torch.ones(shape, dtype=torch.bool)
    is_frame[:, :10] = False
    codes = torch.arange(1_000).view(shape)
    made = Sheet(
        **{
            field.name: torch.zeros(shape, dtype=torch.int64)
            for field in fields(Sheet)
            if field.name not in ("codes", "is_frame", "others")
        },
        codes=codes,
        others=codes[..., None].repeat(1, 1, 7),
        is_frame=is_frame,
    )
    found = misheard(made, rng, most=0.5)
    changed = found.codes != codes
    assert not (changed & ~is_frame).any()
    assert 0.1 < changed[is_frame].float().mean() < 0.4
    assert torch.equal(found.others, found.codes[..., None].repeat(1, 1, 7))  # whole frames move
    assert found.next_codes is made.next_codes
