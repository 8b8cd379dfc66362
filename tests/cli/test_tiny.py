"""Commands that load a model: on a tiny one that answers nonsense, from its files to the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna.core.errors import Unavailable
from myna.hub.preview import Preview
from myna.models.tiny import tiny_config, write_tiny_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a tiny model; its folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_checkpoint(folder, "qwen2")
    return str(folder)


def test_run_answers_with_a_tiny_model(myna: Any, tiny: str) -> None:
    code, out, err = myna(
        "run", tiny, "Hello", "--max-tokens", "8", "--temperature", "0", "--dtype", "float32"
    )
    assert code == 0
    assert out
    assert "loading weights: 100%" in err
    again = myna("run", tiny, "Hello", "--max-tokens", "8", "--temperature", "0", "--json")
    assert json.loads(again[1])["model"] == "tiny"


def test_check_finds_that_noise_is_no_language(myna: Any, tiny: str) -> None:
    code, out, _ = myna("check", tiny, "--dtype", "float32")
    assert code == 1
    assert "FAIL  paragraph 1 is likely text" in out
    assert "pass  the same seed gives the same text" in out
    assert out.splitlines()[-1].startswith("FAIL: model=tiny family=qwen2 quantization=none")
    code, out, _ = myna("check", tiny, "--dtype", "float32", "--json")
    assert code == 1
    assert json.loads(out)["passed"] is False
    assert {"name", "passed", "detail"} == set(json.loads(out)["findings"][0])


def test_check_passes_with_its_findings(
    myna: Any, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.pipeline.check.MAX_PERPLEXITY", float("inf"))
    monkeypatch.setattr("myna.pipeline.check.MIN_GAIN", 0.0)
    code, out, _ = myna("check", tiny, "--dtype", "float32")
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert (code == 0) == (not failed)


def test_bench_measures_a_tiny_model(myna: Any, tiny: str) -> None:
    code, out, _ = myna(
        "bench", tiny, "--repeats", "1", "--prompt-tokens", "16", "--answer-tokens", "4"
    )
    assert code == 0
    assert "reading 16 tokens" in out


def test_fit_foretells_from_the_headers(
    myna: Any, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.pipeline.fit.seconds_per_token", lambda *_, **__: 0.02)
    code, out, _ = myna("fit", tiny, "--context", "64", "--dtype", "float32")
    assert code == 0
    assert "it fits" in out
    assert "about 50 tokens/s" in out
    answer = json.loads(myna("fit", tiny, "--context", "64", "--no-measure", "--json")[1])
    assert answer["fits"] is True
    assert answer["tokens_per_s"] is None
    assert answer["peak_bytes"] == (
        answer["weight_bytes"] + answer["kv_bytes"] + answer["other_bytes"]
    )


def test_fit_says_no_with_its_exit_code(
    myna: Any, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.pipeline.fit.available_memory_bytes", lambda: 1000)
    code, out, err = myna("fit", tiny, "--no-measure")
    assert code == 1
    assert "it does not fit" in out
    assert "hint: a smaller or quantized model" in err


def test_fit_looks_at_the_hub_for_what_is_not_here(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("qwen2")
    names = frozenset({"lm_head.weight"})
    monkeypatch.setattr(
        "myna.cli.commands.fit.preview", lambda *_: Preview(config=config, tensor_names=names)
    )
    assert myna("fit", "qwq-32b", "--no-measure", "--context", "64")[0] == 0
    assert myna("fit", "nothing")[0] == 3

    def refuse(*_: object) -> None:
        raise Unavailable("not reached")

    monkeypatch.setattr("myna.cli.commands.fit.preview", refuse)
    assert myna("fit", "qwq-32b")[0] == 1


def test_show_tells_of_a_folder_and_of_the_catalogue(myna: Any, tiny: str) -> None:
    code, out, _ = myna("show", tiny)
    assert code == 0
    assert tiny in out
    assert "came from        you" in out or "came from  you" in out
    code, out, _ = myna("show", "qwen2.5-omni-3b")
    assert code == 0
    assert "NOT for commercial use" in out
    assert "(to be confirmed)" in out
    assert "checksum unknown" in out
    answer = json.loads(myna("show", "smollm2-135m", "--json")[1])
    assert answer["catalogue"]["id"] == "smollm2-135m"
    assert answer["here"] is None
    assert myna("show", "nothing")[0] == 3
    assert myna("show", str(Path(tiny) / "nothing"))[0] == 3
