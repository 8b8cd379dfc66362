"""Finding a checkpoint's chat template."""

import json
from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint
from myna.text.template_files import find_in_folder, find_in_gguf


def write(folder: Path, name: str, template: object) -> None:
    """Write a JSON file that holds a template."""
    (folder / name).write_text(json.dumps({"chat_template": template, "other": [1]}))


def test_a_base_model_has_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert find_in_folder(tmp_path) is None
    assert find_in_gguf({"general.name": "x"}) is None


def test_the_order_of_files_and_what_differs(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", "config")
    found = find_in_folder(tmp_path)
    assert found is not None
    assert (found.source, found.origin, found.warnings) == ("config", "tokenizer_config.json", ())

    write(tmp_path, "processor_config.json", "processor")
    write(tmp_path, "chat_template.json", "json")
    (tmp_path / "chat_template.jinja").write_text("json")
    found = find_in_folder(tmp_path)
    assert found is not None
    assert (found.source, found.origin) == ("json", "chat_template.jinja")
    assert found.warnings == (
        "the chat template of processor_config.json differs from that of chat_template.jinja, "
        "which is used",
        "the chat template of tokenizer_config.json differs from that of chat_template.jinja, "
        "which is used",
    )


def test_several_templates_are_told_apart(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    write(tmp_path, "tokenizer_config.json", named)
    found = find_in_folder(tmp_path)
    assert found is not None
    assert (found.source, found.named) == ("d", {"tool_use": "t"})

    write(tmp_path, "tokenizer_config.json", {"default": "d2", "rag": "r"})
    found = find_in_folder(tmp_path)
    assert found is not None
    assert (found.source, found.named) == ("d2", {"rag": "r"})

    (tmp_path / "chat_template.jinja").write_text("d")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("t")
    found = find_in_folder(tmp_path)
    assert found is not None
    assert (found.source, found.named) == ("d", {"tool_use": "t"})


def test_gguf_metadata_may_hold_several() -> None:
    found = find_in_gguf(
        {
            "tokenizer.chat_template": "d",
            "tokenizer.chat_template.rag": "r",
            "tokenizer.chat_templates": ["rag"],
        }
    )
    assert found is not None
    assert (found.source, found.origin) == ("d", "tokenizer.chat_template")
    assert found.named == {"rag": "r"}


def test_templates_without_a_default_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", [{"name": "rag", "template": "r"}])
    with pytest.raises(BadCheckpoint, match="has chat templates for rag, and none called 'default"):
        find_in_folder(tmp_path)


@pytest.mark.parametrize("template", [7, True, [1], [{"name": "default"}], {"a": 1}])
def test_wrong_types_are_refused(tmp_path: Path, template: object) -> None:
    write(tmp_path, "chat_template.json", template)
    with pytest.raises(BadCheckpoint, match=r"chat_template.json is not as it should be"):
        find_in_folder(tmp_path)


def test_a_gguf_template_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"`tokenizer\.chat_template` is of type int"):
        find_in_gguf({"tokenizer.chat_template": 1})
