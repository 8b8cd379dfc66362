"""The engine answers as the network alone would, whatever else it does at the same time."""

from __future__ import annotations


def test_one_request_gets_the_tokens_of_the_network_alone(kit):
    engine = kit.make_engine()
    prompt = kit.random_prompts(1, 1, 40)[0]
    engine.add(kit.make_request("a", prompt, max_tokens=20))
    outputs = kit.run_all(engine)
    assert kit.tokens_of(outputs, "a") == kit.obvious_greedy(kit.FakeDecoder(), prompt, 20)
    assert outputs[-1].finish_reason == "length"
    assert outputs[-1].account.prompt_tokens == len(prompt)
    assert outputs[-1].account.completion_tokens == 20


def test_many_requests_get_the_tokens_of_the_network_alone(kit):
    engine = kit.make_engine()
    prompts = kit.random_prompts(2, 12, 60)
    for number, prompt in enumerate(prompts):
        engine.add(kit.make_request(str(number), prompt, max_tokens=5 + number))
    outputs = kit.run_all(engine)
    for number, prompt in enumerate(prompts):
        wanted = kit.obvious_greedy(kit.FakeDecoder(), prompt, 5 + number)
        assert kit.tokens_of(outputs, str(number)) == wanted
