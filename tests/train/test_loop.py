"""The loop learns, goes on where it stopped, and rounds what it is told to round."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from myna.train.loop import Schedule, Trainer, load_weights

SCHEDULE = Schedule(steps=60, rate=0.05, warmup=5, decay=0.0)


def make_network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 1)


def train(
    network: nn.Linear, folder: Path, schedule: Schedule, *, stop_after: int | None = None
) -> Trainer:
    trainer = Trainer(network, folder, schedule, dtype=torch.float32)

    def losses(step: int) -> dict[str, Tensor]:
        if stop_after is not None and step == stop_after:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        return {"loss": (network(x) - x.sum(1, keepdim=True)).square().mean()}

    trainer.run(losses)
    return trainer


def test_it_learns_and_draws_a_curve(tmp_path: Path) -> None:
    network = make_network()
    train(network, tmp_path, SCHEDULE)
    assert torch.allclose(network.weight, torch.ones(1, 4), atol=0.05)
    row = json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 60
    assert row["loss"] < 1.5


@pytest.mark.parametrize("turned", [None, "weight"])
def test_an_interrupted_run_ends_where_a_whole_one_does(tmp_path: Path, turned: str | None) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    schedule = replace(SCHEDULE, turned=turned)
    whole = train(make_network(), tmp_path / "whole", schedule)
    often = replace(schedule, save_every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(make_network(), tmp_path / "parts", often, stop_after=23)
    resumed = train(make_network(), tmp_path / "parts", often)
    assert resumed.step == 60
    for name, value in whole.masters.items():
        assert torch.equal(value, resumed.masters[name])


def test_turned_matrices_are_trained_by_muon_even_in_stacks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Module()
    network.stack = nn.Parameter(torch.randn(1, 6, 4))
    network.vector = nn.Parameter(torch.zeros(4))
    trainer = Trainer(network, tmp_path, replace(SCHEDULE, turned=""), dtype=torch.float32)
    _, muon = trainer.optimizers
    assert [leaf.shape for leaf in muon.param_groups[0]["params"]] == [(6, 4)]
    before = trainer.masters["stack"].clone()
    (network.stack.sum() + network.vector.sum()).backward()
    trainer._update()
    assert not torch.equal(trainer.masters["stack"], before)
    assert torch.equal(network.stack, trainer.masters["stack"])


def test_a_batch_without_a_finite_gradient_is_left_out(tmp_path: Path) -> None:
    network = make_network()
    trainer = Trainer(network, tmp_path, SCHEDULE, dtype=torch.float32)
    before = network.weight.detach().clone()
    loss = network(torch.ones(1, 4)).sum() * torch.nan
    loss.backward()
    trainer._update()
    assert torch.equal(network.weight, before)


def test_what_the_network_computes_with_can_be_rounded(tmp_path: Path) -> None:
    network = make_network()
    trainer = Trainer(
        network, tmp_path, SCHEDULE, dtype=torch.float32, refine=lambda name, master: master.round()
    )
    assert torch.equal(network.weight, network.weight.round())
    assert not torch.equal(trainer.masters["weight"], network.weight)


def test_frozen_parameters_are_neither_trained_nor_kept(tmp_path: Path) -> None:
    network = make_network()
    network.bias.requires_grad_(False)
    trainer = Trainer(network, tmp_path, SCHEDULE)
    trainer.save()
    assert set(trainer.masters) == {"weight"}
    fresh = nn.Linear(4, 1)
    kept = fresh.bias.detach().clone()
    load_weights(fresh, tmp_path)
    assert torch.equal(fresh.weight, trainer.masters["weight"])
    assert torch.equal(fresh.bias, kept)


def test_a_stage_that_has_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run the stage 'ears' first"):
        load_weights(make_network(), tmp_path / "ears")


def test_the_rate_warms_up_and_falls() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(61)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[5] == pytest.approx(0.05)
    assert rates[60] == pytest.approx(0.005)
