"""One chunk's failure is found out and kept from the others."""

from __future__ import annotations

import torch

from myna.core.errors import InternalError


def test_a_network_that_fails_on_one_request_fails_that_one_only(kit, caplog):
    engine = kit.make_engine()
    decoder = engine._runner._decoder
    whole_forward = decoder.forward

    def forward(batch, caches):
        if (batch.token_ids == 63).any():
            raise RuntimeError("63 is unlucky")
        return whole_forward(batch, caches)

    decoder.forward = forward
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=8))
    engine.add(kit.make_request("b", [5, 63, 5], max_tokens=8))
    engine.add(kit.make_request("c", [1, 2, 3], max_tokens=8))
    outputs = kit.run_all(engine)
    (failure,) = (output for output in outputs if output.error is not None)
    assert failure.request_id == "b"
    assert "the model failed on this request" in failure.error.message
    assert "63 is unlucky" in caplog.text
    kit.check_others(engine, outputs, "ac")


def test_scores_that_are_no_numbers_fail_their_request_and_spoil_no_block(kit, caplog):
    decoder = kit.FakeDecoder()
    engine = kit.make_engine(decoder, max_step_tokens=8)
    whole_logits = decoder.logits
    decoder.logits = lambda hidden: torch.full((len(hidden), 64), torch.nan)
    engine.add(kit.make_request("b", [7] * 20, max_tokens=8))
    (failure,) = kit.run_all(engine)
    assert isinstance(failure.error, InternalError)
    assert "not finite numbers" in failure.error.message
    decoder.logits = whole_logits
    assert engine.pool.num_cached == 0
    kit.check_others(engine, [], "")


def test_ids_beyond_the_tokenizers_are_never_chosen(kit):
    decoder = kit.FakeDecoder()
    decoder.head[:, 60:] *= 100
    engine = kit.make_engine(decoder, num_valid_tokens=60)
    engine.add(kit.make_request("a", [1, 2], max_tokens=20, temperature=1.0, logprobs=5))
    outputs = kit.run_all(engine)
    assert max(kit.tokens_of(outputs, "a")) < 60
    assert all(token_id < 60 for output in outputs for token_id, _ in output.token.top)
