"""What the thinker reads while it is trained is what it reads when it serves."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart
from myna.models.qwen3_omni.thinker import Thinker
from myna.text import template_files
from myna.text.chat_template import ChatTemplate
from myna.train.batches import Reader, Rectangles, packed_batch, stack, words_of_tokens
from myna.train.examples import UNSCORED, Clip, Example, Heard, Picture, Sound, Spoken
from myna.train.export import build
from myna.train.language.tokenizer import open_tokenizer
from myna.train.loop import Losses
from myna.train.nano_config import nano_config
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.stages.thinker import PASSES, Mixture, Rehearsal, Score, losses
from myna.train.workshop import folder

SOUND = Sound(np.sin(np.arange(16_000, dtype=np.float32) / 9))
PICTURE = Picture(np.full((50, 60, 3), 99, np.uint8))
CLIP = Clip(np.zeros((4, 40, 40, 3), np.uint8), fps=2.0, sound=SOUND)
ASKED = Example("ask_about", ("what is this", PICTURE, SOUND, CLIP), "a red apple")
TYPED = Example("answer", ("two plus two",), "two plus two is four")


@pytest.fixture
def reader() -> Reader:
    tokenizer = open_tokenizer()
    config = nano_config()
    return Reader(tokenizer, config, PICTURE_RULE)


def learnt(thinker: Thinker, batch: Rectangles) -> Losses:
    return losses(thinker, batch, packed_batch(thinker, batch))


def test_the_prompt_is_the_chat_templates(reader: Reader) -> None:
    found = template_files.find_in_folder(folder("tokenizer"))
    assert found is not None
    parts = (
        TextPart(text="what is this"),
        ImagePart(data=b"1"),
        AudioPart(data=b"2"),
        VideoPart(data=b"3"),
    )
    template = ChatTemplate(found.source, bos_token=None, eos_token=None)
    rendered = template.render([Message(role="user", content=parts)])
    silent = Clip(CLIP.frames, CLIP.fps)
    reading = reader.read(Example("ask_about", ("what is this", PICTURE, SOUND, silent), "yes"))
    prompt = reading.layout.token_ids.tolist()[: -reading.num_answer]
    media = {reading.layout.media.audio, reading.layout.media.image, reading.layout.media.video}
    placeholders = [
        token
        for before, token in zip([None, *prompt], prompt, strict=False)
        if token != before or token not in media
    ]
    assert placeholders == reader.tokenizer.encode(rendered)
    answer = reading.layout.token_ids[-reading.num_answer :].tolist()
    assert reader.tokenizer.decode(answer, skip_special=False) == "yes<|im_end|>"


def test_only_the_answer_is_scored(reader: Reader) -> None:
    readings = [reader.read(TYPED), reader.read(ASKED)]
    batch = stack(readings, pad_id=0)
    for reading, ids, labels in zip(readings, batch.token_ids, batch.labels, strict=True):
        scored = labels[labels != UNSCORED]
        size = len(reading.layout.token_ids)
        assert scored.tolist() == ids[size - reading.num_answer : size].tolist()
        places = (labels != UNSCORED).nonzero()[:, 0]
        assert torch.equal(ids[places + 1], scored)


def test_a_batch_is_read_as_each_example_alone(reader: Reader) -> None:
    config = nano_config()
    thinker, _ = build(config)
    with torch.no_grad():
        both = learnt(thinker, stack([reader.read(TYPED), reader.read(ASKED)], pad_id=0))["loss"]
        alone = [
            learnt(thinker, stack([reader.read(item)], pad_id=0))["loss"] for item in (TYPED, ASKED)
        ]
    counts = [reader.read(item).num_answer for item in (TYPED, ASKED)]
    mean = sum(n * float(loss) for n, loss in zip(counts, alone, strict=True)) / sum(counts)
    assert float(both) == pytest.approx(mean, rel=1e-4)


def test_every_part_gets_gradients(reader: Reader) -> None:
    config = nano_config()
    thinker, _ = build(config)
    batch = stack([reader.read(ASKED), reader.read(TYPED)], pad_id=0)
    learnt(thinker, batch)["loss"].backward()
    silent = [name for name, p in thinker.named_parameters() if p.grad is None]
    assert silent == []


def test_a_steps_batch_depends_on_its_number_only(reader: Reader) -> None:
    def make(rng: random.Random) -> Example:
        return Example("answer", (f"{rng.randrange(100)}",), "yes")

    def mixture() -> Mixture:
        return Mixture([(1.0, make)], reader, size=3, seed=5, pad_id=0)

    whole = mixture()
    batches = [whole.at(step) for step in range(20)]
    again = mixture().at(17)
    assert torch.equal(batches[17].token_ids, again.token_ids)
    assert not torch.equal(batches[3].token_ids, batches[11].token_ids)


def test_a_batch_comes_again_and_is_encoded_once(reader: Reader) -> None:
    def make(rng: random.Random) -> Example:
        sound = np.full((80, 128), rng.random(), np.float16)
        return Example("transcribe", (Heard(sound, words=()),), f"{rng.randrange(100)}")

    thinker, _ = build(nano_config())
    mixture = Mixture([(1.0, make)], reader, size=2, seed=5, pad_id=0)
    rehearsal = Rehearsal(thinker, mixture, block=3)
    batches = [rehearsal.at(step) for step in range(3 * PASSES + 1)]
    for step in range(3):
        again = [batches[step + 3 * i] for i in range(PASSES)]
        assert all(one is again[0] for one in again)
    ids = [batch.token_ids.tolist() for batch, _ in batches]
    assert len({str(batch) for batch in ids}) == 4
    assert len(rehearsal.kept) == 1
    _, packed = Rehearsal(thinker, mixture, block=3).at(4)  # as a run that goes on
    assert torch.equal(packed.replaced[0].values, batches[4][1].replaced[0].values)


def test_the_score_counts_answers_that_are_right_throughout(reader: Reader) -> None:
    batch = stack([reader.read(TYPED), reader.read(ASKED)], pad_id=0)
    hits = batch.labels != UNSCORED
    hits[1, hits[1].nonzero()[0]] = False
    score = Score()
    score.add(batch, hits)
    assert score.line() == "answer 100  ask_about 0"
    assert score.line() == ""


def test_an_unspoken_question_is_refused(reader: Reader) -> None:
    with pytest.raises(ValueError, match="'two' was to be spoken, but no voice has said it yet"):
        reader.read(Example("answer_aloud", (Spoken("two"),), "yes"))


def test_words_are_marked_where_they_are_heard_and_where_they_are_written(reader: Reader) -> None:
    heard = Heard(np.zeros((80, 128), np.float16), words=((0.0, 0.35), (0.5, 1.0)))
    reading = reader.read(Example("transcribe", (heard, "what"), "red apple"))
    rows = reading.layout.audio_rows
    assert reading.heard[rows].tolist() == [0, 0, 0, UNSCORED, UNSCORED, 1, 1, 1, 1, 1]
    told = reading.told[-reading.num_answer :].tolist()
    assert told[0] == 0
    assert told[-2:] == [1, UNSCORED]
    other = reader.read(Example("transcribe", (heard, "what"), "a red apple"))  # not these words
    assert (other.heard == UNSCORED).all()
    assert (other.told == UNSCORED).all()


def test_attention_counts_where_words_are_known(reader: Reader) -> None:
    config = nano_config()
    thinker, _ = build(config)
    heard = Heard(np.zeros((80, 128), np.float16), words=((0.0, 0.35), (0.5, 1.0)))
    with torch.no_grad():
        known = learnt(thinker, stack([reader.read(Example("t", (heard,), "red apple"))], pad_id=0))
        unknown = learnt(thinker, stack([reader.read(TYPED)], pad_id=0))
    assert float(known["loss"]) > float(known["answers"])
    assert float(unknown["loss"]) == float(unknown["answers"])


def test_a_word_may_be_several_tokens() -> None:
    assert words_of_tokens([b"o", b"w", b"l", b" ", b"x", b" red", b"'s"]) == [0, 0, 0, 1, 1, 2, 2]
    assert words_of_tokens([]) == []
