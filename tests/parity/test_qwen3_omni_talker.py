"""From a conversation of mixed media to sound: the talker's tracks, positions, logits, greedy codes
and waves equal the reference's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

import omni_pair
from closeness import compare
from myna.layers.cache import PackedBatch, Rows
from myna.layers.dense_cache import DenseCache
from myna.layers.norm import RmsNorm
from myna.models.qwen3_omni.decoder import SharedExpertMoe
from myna.models.qwen3_omni.inputs import Layout, talker_positions
from myna.models.qwen3_omni.positions import advance
from myna.models.qwen3_omni.rope import MultiAxisRopeTable
from myna.models.qwen3_omni.talker import (
    TalkerPrompt,
    find_turns,
    speaker_id,
    suppressed_codes,
    talker_prompt,
)
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import Speech
from omni_prompts import Conversation

NUM_SEEDS = 20
NUM_WORDS = 6
NUM_FRAMES = 9
PENALTY = 1.05
VOICES = ("ethan", "chelsie", "Aiden")
LAYER_STAGES = ("", ".input_layernorm", ".self_attn", ".self_attn.q_norm", ".mlp", ".mlp.experts")
NAMES = (*(f"layers.{i}{stage}" for i in range(2) for stage in LAYER_STAGES), "norm")


# The reference warns that the penalty sees no prompt, which is what is wanted.
pytestmark = pytest.mark.filterwarnings("ignore:Passing `repetition_penalty` with")


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> omni_pair.OmniPair:
    return omni_pair.make_pair(tmp_path_factory.mktemp("talker"))


@pytest.fixture
def speech(pair) -> Speech:
    """Load what speaks anew, for a mutant to change."""
    return omni_pair.load(pair.folder)[2]


@dataclass(frozen=True)
class Spoken:
    """Hold what was said and what led to it."""

    words: list[int]
    inputs: Tensor  # (N, D), the talker's
    token_ids: Tensor  # (N,)
    positions: Tensor  # (3, N)
    trailing: Tensor  # (words after the first, and an end; D)
    logits: Tensor  # (N, V), of the talker's prompt
    codes: Tensor  # (Q, T)
    wave: Tensor  # (W,)


@torch.inference_mode()
def reference_speaks(pair, conversation: Conversation, layout: Layout, voice: str) -> Spoken:
    """Run the reference's own loops, and listen to what its talker is given."""
    model = pair.reference
    heard: dict[str, object] = {}
    generate, decode = model.talker.generate, model.code2wav.chunked_decode

    def listen_to_generate(**kwargs: object) -> object:
        heard.update(kwargs)
        return generate(**kwargs)

    def listen_to_decode(codes: Tensor, **kwargs: object) -> Tensor:
        heard["codes"] = codes
        return decode(codes, **kwargs)

    def listen_to_decoder(_module: object, _inputs: object, kwargs: dict[str, object]) -> None:
        heard.setdefault("position_ids", kwargs["position_ids"])

    def listen_to_head(_module: object, _inputs: object, out: Tensor) -> None:
        heard.setdefault("logits", out)

    hooks = (
        model.talker.model.register_forward_pre_hook(listen_to_decoder, with_kwargs=True),
        model.talker.codec_head.register_forward_hook(listen_to_head),
    )
    model.talker.generate = listen_to_generate
    model.code2wav.chunked_decode = listen_to_decode
    try:
        sequences, wave = model.generate(
            **conversation.arguments(layout.token_ids),
            speaker=voice,
            thinker_max_new_tokens=NUM_WORDS,
            thinker_do_sample=False,
            thinker_eos_token_id=None,
            talker_max_new_tokens=NUM_FRAMES + 1,
            talker_do_sample=False,
            talker_repetition_penalty=PENALTY,
        )
    finally:
        del model.talker.generate, model.code2wav.chunked_decode
        for hook in hooks:
            hook.remove()
    return Spoken(
        words=sequences[0, len(layout.token_ids) :].tolist(),
        inputs=heard["inputs_embeds"][0],
        token_ids=heard["talker_input_ids"][0],
        positions=heard["position_ids"][-3:, 0],
        trailing=heard["trailing_text_hidden"][0],
        logits=heard["logits"][0],
        codes=heard["codes"][0],
        wave=wave.flatten(),
    )


@torch.inference_mode()
def think(thinker: Thinker, batch: PackedBatch, ahead: float, *, chunk: int) -> list[int]:
    """Read a prompt in chunks and continue it with the likeliest tokens."""
    decoder = thinker.decoder
    caches = [DenseCache() for _ in range(decoder.num_layers)]
    num_tokens = len(batch.token_ids)
    for start in range(0, num_tokens, chunk):
        hidden = decoder(batch.cut(start, min(start + chunk, num_tokens)), caches)
    words: list[int] = []
    for position in range(num_tokens, num_tokens + NUM_WORDS):
        words.append(int(decoder.logits(hidden[-1:]).argmax()))
        place = torch.tensor([position + ahead])
        hidden = decoder(PackedBatch(torch.tensor(words[-1:]), place), caches)
    return words


@torch.inference_mode()
def we_speak(
    pair, conversation: Conversation, layout: Layout, voice: str, speech: Speech | None = None
) -> Spoken:
    """Do the same with our parts. As in the reference, the last word of an answer that its length
    has ended is not spoken.
    """
    config, thinker = pair.config, pair.thinker
    speech = speech or pair.speech
    talker, depth = speech.talker, config.speech.talker.hidden_layer
    batch, states = conversation.batch(thinker, layout, depth=depth)
    words = think(thinker, batch, layout.advance, chunk=11)

    def read(ids: Tensor) -> Tensor:
        return talker.text_projection(thinker.decoder.embed_tokens(ids, torch.float32))

    turns = find_turns(layout.token_ids, config.speech.roles)
    prompt = talker_prompt(
        talker,
        config.speech,
        token_ids=layout.token_ids,
        turns=turns,
        media=states,
        first_id=words[0],
        speaker_id=speaker_id(config.speech.talker, voice),
        read=read,
    )
    positions = talker_positions(
        layout, user_rows=turns.user_rows, token_ids=prompt.token_ids, config=config.thinker
    )
    roles = config.speech.roles
    trailing = read(torch.tensor([*words[1:-1], roles.tts_eos]))
    pad = read(torch.tensor([roles.tts_pad]))
    logits, codes = speak(speech, prompt, positions, trailing, pad)
    wave = speech.code2wav.decode(codes[None])[0]
    return Spoken(words, prompt.inputs, prompt.token_ids, positions, trailing, logits, codes, wave)


def speak(
    speech: Speech, prompt: TalkerPrompt, positions: Tensor, trailing: Tensor, pad: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the talker greedily; returns the prompt's logits and the frames (Q, T)."""
    talker, decoder = speech.talker, speech.talker.decoder
    caches = [DenseCache() for _ in range(decoder.num_layers)]
    silent = torch.tensor(suppressed_codes(talker.config))
    hidden = decoder(replaced(prompt.inputs, positions), caches)
    first_logits = decoder.logits(hidden)
    ahead, num_tokens = advance(positions), len(prompt.inputs)
    chosen: list[int] = []
    frames: list[Tensor] = []
    logits = first_logits[-1]
    while len(frames) < NUM_FRAMES:
        past = torch.tensor(sorted(set(chosen)), dtype=torch.int64)
        seen = logits[past]
        logits = logits.index_copy(0, past, torch.where(seen < 0, seen * PENALTY, seen / PENALTY))
        chosen.append(int(logits.index_fill(0, silent, -torch.inf).argmax()))
        if chosen[-1] == talker.config.codec.eos:
            break
        code = torch.tensor(chosen[-1:])
        others = talker.code_predictor(hidden[-1:], talker.embed(code))
        frames.append(torch.cat((code, others[0])))
        step = len(frames) - 1
        word = trailing[step : step + 1] if step < len(trailing) else pad
        place = torch.full((3, 1), num_tokens + step + ahead)
        hidden = decoder(replaced(talker.embed_frames(frames[-1][None]) + word, place), caches)
        logits = decoder.logits(hidden)[0]
    return first_logits, torch.stack(frames, -1)


def replaced(inputs: Tensor, positions: Tensor) -> PackedBatch:
    """Make a batch of vectors that are no tokens."""
    rows = Rows(torch.arange(len(inputs)), inputs)
    return PackedBatch(torch.zeros(len(inputs), dtype=torch.int64), positions, replaced=(rows,))


def check(found: Spoken, expected: Spoken) -> None:
    for name in ("token_ids", "positions"):
        same = torch.equal(getattr(found, name), getattr(expected, name).to(getattr(found, name)))
        assert same, f"parity fails at {name}"
    compared = ("inputs", "trailing", "logits")
    compare(
        {name: getattr(found, name) for name in compared},
        {name: getattr(expected, name) for name in compared},
    )
    assert found.words == expected.words, "parity fails at words"
    assert torch.equal(found.codes, expected.codes), "parity fails at codes"
    compare({"wave": found.wave}, {"wave": expected.wave})


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_what_is_said_equals_the_reference(pair, seed: int) -> None:
    conversation = Conversation(seed, pair.config, has_media=seed > 0)
    layout, voice = conversation.layout(), VOICES[seed % 3]
    expected = reference_speaks(pair, conversation, layout, voice)
    check(we_speak(pair, conversation, layout, voice), expected)


def test_every_stage_equals_the_reference(pair) -> None:
    inputs = torch.randn(30, 32, generator=torch.manual_seed(0))
    places = torch.rand(3, 30, generator=torch.manual_seed(1)).mul(9).cumsum(-1)
    reference, decoder = pair.reference.talker.model, pair.speech.talker.decoder
    expected = omni_pair.outputs(
        reference,
        NAMES,
        lambda: reference(inputs_embeds=inputs[None], position_ids=places[:, None]),
    )
    caches = [DenseCache() for _ in range(decoder.num_layers)]
    found = omni_pair.outputs(decoder, NAMES, lambda: decoder(replaced(inputs, places), caches))
    compare(found, expected)


def test_true_widths_equal_the_reference() -> None:
    """Build both at the released widths: two layers, with fewer experts."""
    changes = {"num_hidden_layers": 2, "num_experts": 16}
    reference, head, ours = omni_pair.decoder_pair("talker", **changes)
    inputs = torch.randn(30, 1024, generator=torch.manual_seed(0))
    places = torch.rand(3, 30, generator=torch.manual_seed(1)).mul(9).cumsum(-1)
    expected: dict[str, Tensor] = {}
    found: dict[str, Tensor] = {}

    def run_reference() -> None:
        out = reference(inputs_embeds=inputs[None], position_ids=places[:, None])
        expected["logits"] = head(out.last_hidden_state)[0]

    def run_ours() -> None:
        hidden = ours(replaced(inputs, places), [DenseCache() for _ in range(ours.num_layers)])
        found["logits"] = ours.logits(hidden)

    expected |= omni_pair.outputs(reference, NAMES, run_reference)
    found |= omni_pair.outputs(ours, NAMES, run_ours)
    compare(found, expected)


def halve_theta(speech: Speech) -> None:
    config = speech.talker.config.text
    rope = replace(config.rope, theta=config.rope.theta / 2)
    speech.talker.decoder.rope_table = MultiAxisRopeTable(
        rope, config.head_width, section=config.mrope_section
    )


def turn_in_blocks(speech: Speech) -> None:
    """Give each axis its frequencies in a row, as the family before did."""
    table = speech.talker.decoder.rope_table
    table.axes = table.axes.sort().values


def grow_eps(speech: Speech) -> None:
    for module in speech.talker.decoder.modules():
        if isinstance(module, RmsNorm):
            module.eps = 1e-3


def exchange(owner: str, first: str, second: str) -> Callable[[Speech], None]:
    def change(speech: Speech) -> None:
        module = speech.talker.get_submodule(owner)
        kept = getattr(module, first)
        setattr(module, first, getattr(module, second))
        setattr(module, second, kept)

    return change


def permute_one_expert(speech: Speech) -> None:
    down = speech.talker.decoder.layers[1].mlp.experts.down_proj
    down[[0, 1]] = down[[1, 0]].clone()


def choose_one_expert_less(speech: Speech) -> None:
    speech.talker.decoder.layers[0].mlp.num_chosen -= 1


def forget_to_renormalise(speech: Speech) -> None:
    speech.talker.decoder.layers[0].mlp.renormalise = False


def open_the_shared_gate(speech: Speech) -> None:
    mlp = speech.talker.decoder.layers[0].mlp
    assert isinstance(mlp, SharedExpertMoe)
    mlp.shared_expert_gate.weight.fill_(0)


def drop_bias(path: str) -> Callable[[Speech], None]:
    return lambda speech: speech.talker.get_parameter(path).fill_(0)


MUTANTS: dict[str, Callable[[Speech], None]] = {
    "rope theta halved": halve_theta,
    "axes in blocks": turn_in_blocks,
    "eps larger": grow_eps,
    "layer norms swapped": exchange(
        "decoder.layers.0", "input_layernorm", "post_attention_layernorm"
    ),
    "head norms swapped": exchange("decoder.layers.1.self_attn", "q_norm", "k_norm"),
    "projections swapped": exchange("", "text_projection", "hidden_projection"),
    "one expert permuted": permute_one_expert,
    "one expert less": choose_one_expert_less,
    "shares not renormalised": forget_to_renormalise,
    "shared expert's gate ignored": open_the_shared_gate,
    "bias dropped": drop_bias("text_projection.linear_fc1.bias"),
    "media's bias dropped": drop_bias("hidden_projection.linear_fc2.bias"),
}


@pytest.fixture(scope="module")
def rich(pair) -> tuple[Conversation, Layout, Spoken]:
    """Take a conversation in which the last user shows pictures and plays sound."""
    conversation = Conversation(5, pair.config)
    layout = conversation.layout()
    return conversation, layout, reference_speaks(pair, conversation, layout, "ethan")


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_fails_parity(mutant: str, pair, speech, rich) -> None:
    conversation, layout, expected = rich
    with torch.no_grad():
        MUTANTS[mutant](speech)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(we_speak(pair, conversation, layout, "ethan", speech), expected)


def test_another_voice_or_depth_fails_parity(pair, rich) -> None:
    conversation, layout, expected = rich
    check(we_speak(pair, conversation, layout, "ethan"), expected)
    with pytest.raises(AssertionError, match="parity fails at inputs"):
        check(we_speak(pair, conversation, layout, "aiden"), expected)
    talker = pair.config.speech.talker
    shallow = replace(talker, hidden_layer=talker.hidden_layer - 1)
    config = replace(pair.config, speech=replace(pair.config.speech, talker=shallow))
    with pytest.raises(AssertionError, match="parity fails at inputs"):
        check(we_speak(replace(pair, config=config), conversation, layout, "ethan"), expected)
