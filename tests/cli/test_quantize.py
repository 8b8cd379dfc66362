"""`myna quantize`: a tiny model of each family becomes smaller and still answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from myna.models.tiny import write_tiny_checkpoint
from myna.models.tiny_omni import write_tiny_omni


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "qwen3_moe", "llama", "qwen3_omni"])
def test_a_quantized_model_answers_packed_and_unpacked(
    myna: Any, tmp_path: Path, family: str
) -> None:
    source, target = tmp_path / "source", str(tmp_path / "small")
    if family == "qwen3_omni":
        write_tiny_omni(source)
    else:
        write_tiny_checkpoint(source, family)
    code, out, err = myna("quantize", str(source), target)
    assert code == 0
    assert "quantizing: 100%" in err
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["before", "after"]
    assert "% off (rms)" in out
    # Tiles multiply rounded activations: of random weights, a longer answer meets a near tie.
    ask = ("run", target, "Hello", "--max-tokens", "2", "--dtype", "float32", "--json")
    answers = [
        json.loads(myna(*ask, "--temperature", "0", how)[1])
        for how in ("--keep-packed", "--unpack")
    ]
    for key in ("text", "finish_reason", "usage"):
        assert answers[0][key] == answers[1][key]
    assert answers[0]["usage"]["completion_tokens"] > 0


def test_the_answer_for_programs(myna: Any, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "source", "qwen2")
    argv = ("quantize", str(tmp_path / "source"), str(tmp_path / "small"), "--bits", "8", "--json")
    answer = json.loads(myna(*argv)[1])
    assert answer["path"] == str(tmp_path / "small")
    assert answer["num_tensors"] == {"Q8_0_R16": 16, "F32": 11}
    assert answer["bytes_after"] < answer["bytes_before"]
    code, out, err = myna(*argv)
    assert (code, out) == (2, "")
    assert "small is there already" in err


def test_a_text_calibrates_and_another_tells_the_damage(myna: Any, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "source", "qwen2")
    text = tmp_path / "text.md"
    text.write_text("Rain fell on the hills all night, and the river rose by morning. " * 3)
    argv = ("quantize", str(tmp_path / "source"), str(tmp_path / "small"), "--table-bits", "4")
    code, out, _ = myna(*argv, "--calibrate", str(text), "--report", str(text))
    assert code == 0
    assert "nats a token" in out
    argv = ("quantize", str(tmp_path / "source"), str(tmp_path / "plain"), "--json")
    answer = json.loads(myna(*argv, "--report", str(text))[1])
    assert answer["divergence"] > 0
    assert answer["perplexity_before"] != answer["perplexity_after"]
    kept = json.loads((tmp_path / "plain" / "quantization.json").read_bytes())["quality"]
    assert kept == {name: answer[name] for name in kept}
    assert kept.keys() == {"num_tokens", "perplexity_before", "perplexity_after", "divergence"}


def test_what_could_not_be_loaded_is_not_quantized(myna: Any, tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen2")
    config = json.loads((source / "config.json").read_bytes())
    (source / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    code, _, err = myna("quantize", str(source), str(tmp_path / "small"))
    assert code == 4
    assert "'mamba', which is not supported" in err
    assert not (tmp_path / "small").exists()
    assert myna("quantize", "nothing", str(tmp_path / "small"))[0] == 3
    assert myna("quantize", str(source), str(tmp_path / "small"), "--bits", "5")[0] == 2


def test_the_predictor_of_speech_has_bits_of_its_own(myna: Any, tmp_path: Path) -> None:
    source = write_tiny_omni(tmp_path / "source")
    argv = ("quantize", str(source), str(tmp_path / "small"), "--predictor-bits", "6", "--json")
    kinds = json.loads(myna(*argv)[1])["num_tensors"]
    assert kinds["Q6_0_R16"] > 1
    argv = ("quantize", str(source), str(tmp_path / "kept"), "--predictor-bits", "16", "--json")
    assert json.loads(myna(*argv)[1])["num_tensors"]["Q6_0_R16"] == 1  # the table of words
    assert myna("quantize", str(source), str(tmp_path / "odd"), "--predictor-bits", "5")[0] == 2


def test_what_gptq_quantized_runs_as_it_is_and_in_blocks(myna: Any, tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen2")
    words = torch.randint(-(2**31), 2**31, (12, 32), generator=torch.Generator().manual_seed(0))
    for path in sorted(source.glob("*.safetensors")):
        tensors = load_file(path)
        for name in [name for name in tensors if name.endswith("down_proj.weight")]:
            rows, columns = tensors.pop(name).shape
            base = name.removesuffix(".weight")
            tensors |= {
                f"{base}.qweight": words[: columns // 8, :rows].int().contiguous(),
                f"{base}.qzeros": torch.full((columns // 32, rows // 8), 0x77777777).int(),
                f"{base}.scales": torch.full((columns // 32, rows), 0.01).half(),
            }
        save_file(tensors, path)
    places = {name: path.name for path in source.glob("*.safetensors") for name in load_file(path)}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    config = json.loads((source / "config.json").read_bytes())
    section = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    (source / "config.json").write_text(json.dumps({**config, "quantization_config": section}))
    code = myna("quantize", str(source), str(tmp_path / "small"), "--bits", "8")[0]
    assert code == 0
    ask = ("Hello", "--max-tokens", "6", "--dtype", "float32", "--temperature", "0")
    for folder in (source, tmp_path / "small"):
        assert myna("run", str(folder), *ask)[0] == 0
