"""The two-minute check: a real model passes, noise fails where it must."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from myna.core.progress import silent
from myna.pipeline.check import check_model
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService


async def findings_of(path: Path, options: LoadOptions) -> dict[str, bool]:
    model = load_model(path, options, silent)
    service = LocalService(model)
    try:
        return {finding.name: finding.passed async for finding in check_model(model, service)}
    finally:
        await service.close()


async def test_noise_is_not_taken_for_text(tiny_folder: Path, options: LoadOptions):
    options = LoadOptions(model_id="tiny", dtype="float32", max_context=1024)
    findings = await findings_of(tiny_folder, options)
    assert findings["text survives the tokenizer"]
    assert findings["an answer can end"]
    assert findings["the chat template renders"]
    assert findings["the same seed gives the same text"]
    assert findings["other seeds give other text"]
    assert not findings["paragraph 1 is likely text"]


async def test_a_real_model_passes_every_check():
    path = os.environ.get("MYNA_TEST_SMOLLM2", "")
    if not Path(path).is_file():
        pytest.skip("needs the SmolLM2 file; set MYNA_TEST_SMOLLM2 to it")
    options = LoadOptions(model_id="smollm2-135m", dtype="float32", max_context=1024)
    findings = await findings_of(Path(path), options)
    assert all(findings.values()), findings
