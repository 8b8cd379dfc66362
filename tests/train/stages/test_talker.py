import pytest
import torch

from fake_voice import quickly, silent
from myna.train.export import build
from myna.train.language.tokenizer import open_tokenizer
from myna.train.nano_config import nano_config
from myna.train.stages import codec, speech_data, talker


def test_the_embedding_is_the_thinkers() -> None:
    config = nano_config()
    thinker, _ = build(config)
    words = talker.fresh(config).words
    assert not words.requires_grad
    torch.testing.assert_close(words, thinker.get_parameter("decoder.embed_tokens.weight"))


def test_a_step_teaches_talker_and_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=None, report=silent)
    codec.run(minutes=None, report=silent)
    lines: list[str] = []
    talker.run(minutes=None, report=lines.append)
    assert lines[-1].startswith("step 1/1  loss ")
    school = talker.School(*codec.coded_shards(), open_tokenizer(), nano_config(), held_out=1)
    sheet, media, chosen = school.lesson(5)
    again, _, _ = school.lesson(5)
    torch.testing.assert_close(sheet.text, again.text)
    assert len(media) == int(sheet.is_medium.sum())
    assert len(chosen) == int(talker.PICKED_SHARE * int(sheet.makes_frame.sum()))


def test_all_of_the_talker_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    monkeypatch.setattr(talker, "MEDIUM_SHARE", 1.0)
    speech_data.run(minutes=None, report=silent)
    codec.run(minutes=None, report=silent)
    config = nano_config()
    school = talker.School(*codec.coded_shards(), open_tokenizer(), config, held_out=1)
    pupil = talker.fresh(config)
    sheet, media, chosen = school.lesson(0)
    pupil.losses(sheet, media, chosen=chosen)["loss"].backward()
    idle = [n for n, p in pupil.named_parameters() if p.grad is None or not p.grad.any()]
    # The one expert of a layer is always chosen, so its router has nothing to learn.
    assert [name for name in idle if not name.endswith("mlp.gate.weight")] == ["words"]
