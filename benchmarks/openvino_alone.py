"""Time OpenVINO GenAI on one GGUF file; `peers.py` runs this by a Python that has openvino-genai.

    PYTHON openvino_alone.py MODEL.gguf PROMPT DECODE_PROMPT DECODE THREADS

Prints the seconds of a prompt and of each later token, as JSON. Nothing comes from a cache of
prefixes. Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import openvino
import openvino_genai


def main() -> None:
    """Warm up, measure, print."""
    model, *sizes = sys.argv[1:]
    prompt_tokens, decode_prompt, decode_tokens, num_threads = map(int, sizes)
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    pipe = openvino_genai.LLMPipeline(
        model, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=num_threads
    )
    ids = np.random.default_rng(0).integers(1000, 20000, (1, prompt_tokens), np.int64)

    def run(num_prompt: int, num_tokens: int) -> openvino_genai.PerfMetrics:
        tokens = openvino.Tensor(np.ascontiguousarray(ids[:, :num_prompt]))
        mask = openvino.Tensor(np.ones((1, num_prompt), np.int64))
        inputs = openvino_genai.TokenizedInputs(tokens, mask)
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = num_tokens, True, False
        return pipe.generate(inputs, config).perf_metrics

    for tokens in (8, decode_tokens):
        prefill_s = run(prompt_tokens, 1).get_ttft().mean / 1e3
        token_s = run(decode_prompt, tokens).get_tpot().mean / 1e3
    print(json.dumps({"prefill_s": prefill_s, "token_s": token_s}))


if __name__ == "__main__":
    main()
