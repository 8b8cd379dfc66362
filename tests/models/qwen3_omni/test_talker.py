"""What the talker is given before its first step, and what it may never choose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.core.errors import InvalidRequest
from myna.engine.protocols import Decoder
from myna.layers.cache import Rows
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.speech_config import RoleIds
from myna.models.qwen3_omni.talker import (
    TalkerPrompt,
    Turns,
    find_turns,
    speaker_id,
    suppressed_codes,
    talker_prompt,
)

ROLES = RoleIds(
    im_start=1, im_end=2, system=3, user=4, assistant=5, tts_pad=6, tts_bos=7, tts_eos=8
)
LINE = 9
SYSTEM = [1, 3, LINE, 20, 2, LINE]
USER = [1, 4, LINE, 30, 31, 2, LINE]
ASSISTANT = [1, 5, LINE, 40, 2, LINE]
OPEN = [1, 5, LINE]


def turns_of(*parts: list[int]) -> Turns:
    return find_turns(torch.tensor([token for part in parts for token in part]), ROLES)


def test_only_users_turns_are_heard() -> None:
    turns = turns_of(SYSTEM, USER, ASSISTANT, USER, OPEN)
    assert turns.user_rows.tolist() == [*range(6, 13), *range(19, 26)]
    assert turns.header.tolist() == OPEN
    assert turns.begun.tolist() == []


def test_what_the_prompt_holds_of_the_answer_is_told_apart() -> None:
    assert turns_of(USER, OPEN, [50, 51]).begun.tolist() == [50, 51]


def test_tokens_before_the_first_turn_are_nobodys() -> None:
    assert turns_of([4, 4], USER, OPEN).user_rows.tolist() == [*range(2, 9)]


@pytest.mark.parametrize("prompt", [[20, 21], USER, [1]])
def test_a_prompt_that_begins_no_answer_is_refused(prompt: list[int]) -> None:
    with pytest.raises(InvalidRequest, match="the prompt begins no assistant's turn; send messag"):
        turns_of(prompt)


def prompt_of(tiny_speech, tiny_config: Config, media: Rows | None) -> TalkerPrompt:
    """Make a prompt in which every text token's vector is its number, everywhere."""
    speech, roles = tiny_config.speech, tiny_config.speech.roles
    ids = [roles.im_start, roles.user, 10, 300, 300, 11, roles.im_end]
    token_ids = torch.tensor([*ids, roles.im_start, roles.assistant, 10])
    return talker_prompt(
        tiny_speech.talker,
        speech,
        token_ids=token_ids,
        turns=find_turns(token_ids, roles),
        media=media,
        first_id=77,
        speaker_id=speaker_id(speech.talker, "Aiden"),
        read=read,
    )


def read(ids: Tensor) -> Tensor:
    return ids[:, None].float().expand(-1, 32)


def test_two_tracks_lead_to_the_first_word(tiny_speech, tiny_config) -> None:
    speech, roles = tiny_config.speech, tiny_config.speech.roles
    codec, voice = speech.talker.codec, speech.talker.speakers["aiden"]
    text = [roles.im_start, roles.assistant, 10, *[roles.tts_pad] * 4, roles.tts_bos, 77]
    codes = [codec.nothink, codec.think_bos, codec.think_eos, voice, codec.pad, codec.bos]
    expected = read(torch.tensor(text))
    expected = expected.index_add(
        0, torch.arange(3, 9), tiny_speech.talker.embed(torch.tensor(codes))
    )
    found = prompt_of(tiny_speech, tiny_config, None)
    assert torch.equal(found.inputs[7:], expected)
    assert found.token_ids[7:].tolist() == [roles.tts_pad] * 9


def test_without_media_the_users_tokens_are_read(tiny_speech, tiny_config) -> None:
    found = prompt_of(tiny_speech, tiny_config, None)
    assert torch.equal(found.inputs[:7], read(found.token_ids[:7]))


def test_media_are_heard_as_hidden_states(tiny_speech, tiny_config) -> None:
    states = torch.randn(2, 32, generator=torch.manual_seed(0))
    found = prompt_of(tiny_speech, tiny_config, Rows(torch.tensor([3, 4]), states))
    assert torch.equal(found.inputs[3:5], tiny_speech.talker.hidden_projection(states))
    assert torch.equal(found.inputs[[0, 1, 2, 5, 6]], read(found.token_ids[[0, 1, 2, 5, 6]]))


def test_a_turn_of_media_without_text_of_others_is_left_out(tiny_speech, tiny_config) -> None:
    """States beyond the users' turns, such as of a system's picture, are not heard."""
    states = torch.randn(3, 32, generator=torch.manual_seed(0))
    found = prompt_of(tiny_speech, tiny_config, Rows(torch.tensor([3, 4, 9]), states))
    assert torch.equal(found.inputs[3:5], tiny_speech.talker.hidden_projection(states[:2]))


def test_voices_are_found_by_name(tiny_config) -> None:
    talker = tiny_config.speech.talker
    assert speaker_id(talker, "ETHAN") == talker.speakers["ethan"]
    with pytest.raises(InvalidRequest, match=r"voice 'Zoe' .* has aiden, chelsie, ethan\."):
        speaker_id(talker, "Zoe")


def test_of_the_controls_only_the_end_may_be_chosen(tiny_config) -> None:
    talker = tiny_config.speech.talker
    silent = suppressed_codes(talker)
    allowed = set(range(talker.text.vocab_size)).difference(silent)
    assert allowed == {*range(64), talker.codec.eos}


def test_its_decoder_is_what_the_engine_runs(tiny_speech, tiny_config) -> None:
    decoder: Decoder = tiny_speech.talker.decoder
    config = tiny_config.speech.talker.text
    assert (decoder.num_layers, decoder.num_kv_heads) == (config.num_layers, config.num_kv_heads)
    assert (decoder.head_width, decoder.vocab_size) == (config.head_width, config.vocab_size)
