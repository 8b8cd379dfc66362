"""Steps that are played from recordings give the tokens of steps that are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from myna.engine.decode_graphs import DecodeGraphs, can_record
from myna.layers.graphs import Function


class Recorder:
    """Record as a GPU does: what is played reads and writes the same memory each time."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.num_played = 0

    def __call__(
        self, function: Function, inputs: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        self.shapes.append(tuple(inputs[3].shape))
        outputs = function(*inputs)

        def replay() -> None:
            self.num_played += 1
            for own, new in zip(outputs, function(*inputs), strict=True):
                own.copy_(new)

        return outputs, replay


def record(engine) -> Recorder:
    """Let an engine play its steps of single tokens."""
    recorder = Recorder()
    runner = engine._runner
    runner._graphs = DecodeGraphs(runner._decoder, runner._cache, recorder)
    return recorder


def test_played_answers_equal_those_of_the_network_alone(kit):
    engine = kit.make_engine()
    recorder = record(engine)
    prompts = kit.random_prompts(5, 7, 40)
    for number, prompt in enumerate(prompts):
        engine.add(kit.make_request(str(number), prompt, max_tokens=4 + 3 * number))
    outputs = kit.run_all(engine)
    for number, prompt in enumerate(prompts):
        wanted = kit.obvious_greedy(kit.FakeDecoder(), prompt, 4 + 3 * number)
        assert kit.tokens_of(outputs, str(number)) == wanted
    assert recorder.num_played >= 10
    assert {size for shape in recorder.shapes for size in shape} <= {1, 2, 4, 8, 16, 32}
    assert len(set(recorder.shapes)) == len(recorder.shapes)


def test_a_played_step_scores_a_prompt_as_a_run_one_does(kit):
    fields = {"max_tokens": 3, "logprobs": 2, "prompt_logprobs": True}
    scores = []
    for is_played in (True, False):
        engine = kit.make_engine(max_step_tokens=5, prefill_chunk_tokens=4)
        recorder = record(engine) if is_played else None
        engine.add(kit.make_request("a", [3, 1, 4, 1, 5, 9], **fields))
        outputs = kit.run_all(engine)
        scores.append([score.logprob for score in outputs[0].prompt_scores[1:]])
        assert recorder is None or recorder.num_played == 3  # the prompt's last token among them
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_padding_writes_to_the_spare_slot_alone(kit):
    engine = kit.make_engine()
    record(engine)
    cache = engine._cache
    for store in (*cache.keys, *cache.values):
        store.fill_(torch.nan)
    for name in "abc":
        engine.add(kit.make_request(name, [1, 2, 3], max_tokens=4))
    written = cache.keys[0].flatten(0, 1)
    while engine.has_work():
        used = {block for s in engine.scheduler.running for block in s.blocks}
        engine.step()
        used |= {block for s in engine.scheduler.running for block in s.blocks}
        finite = written.isfinite().flatten(1).all(1).nonzero().flatten().tolist()
        known = [slot for slot in finite if slot != cache.spare_slot]
        assert used == set() or {slot // cache.tokens_per_block for slot in known} <= used


@pytest.mark.parametrize(
    ("device", "dtype", "can"),
    [
        ("cuda", torch.bfloat16, True),
        ("cuda", torch.float32, False),
        ("cpu", torch.bfloat16, False),
    ],
)
def test_only_bfloat16_on_a_gpu_is_recorded(kit, device: str, dtype: torch.dtype, can: bool):
    decoder = kit.FakeDecoder(dtype=dtype)
    decoder.device = torch.device(device)
    assert can_record(decoder) is can
