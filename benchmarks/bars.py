"""Show that a bar holds: run what it takes, print the figure last, exit non-zero below the bar.

    python benchmarks/bars.py --list
    python benchmarks/bars.py NAME [NAME …] [--model SMOLLM2.gguf] [--qwen QWEN.gguf] [--moe FOLDER]

docs/bars.md lists the bars with what was measured. Speed and memory need a machine that does
nothing else; nothing here downloads anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bar_kinds import SMOLLM2, Bar, Files, Missed, Script, Tests, startup

PARITY = "tests/parity"
OMNI = f"{PARITY}/test_qwen3_omni"
OMNI_CONFIG = "tests/models/layouts/qwen3-omni-30b-a3b-instruct.config.json"
BARS: Mapping[str, Bar] = {
    # A model answers.
    "parity": Bar(
        must="equal to transformers, relative 1e-4, all families through the real loader",
        show=Tests(
            "every stage within 1e-4", (f"{PARITY}/test_stages.py", f"{PARITY}/test_gguf.py")
        ),
    ),
    "mutants": Bar(
        must="every mutant fails parity",
        show=Tests("every mutant fails", (f"{PARITY}/test_mutants.py",)),
    ),
    "greedy": Bar(
        must="64 greedy tokens equal on 20 seeds",
        show=Tests("20 seeds, 64 tokens each, 0 differ", (f"{PARITY}/test_greedy.py",)),
    ),
    "layouts": Bar(
        must="QwQ-32B at full size on the meta device: every tensor used, every parameter filled",
        show=Tests("no tensor left, no parameter empty", ("tests/models/test_layouts.py",)),
    ),
    "smollm2": Bar(
        must="SmolLM2 in float32: greedy text equals transformers, 10 prompts of 64 tokens",
        show=Tests("10 prompts of 64 tokens, 0 differ", (f"{PARITY}/test_smollm2.py",)),
        needs=("model",),
    ),
    "speed": Bar(
        must="bfloat16, 0.5B, beside transformers: decode >= 1.1x, prefill of 512 >= 1.0x",
        show=Script(("speed.py", "{qwen}", "--min-decode", "1.1", "--min-prefill", "1.0")),
        needs=("qwen",),
    ),
    "startup": Bar(must="`--help`, `list`, `version` <= 0.4 s, no torch", show=startup),
    "bad-input": Bar(
        must="one clear error for each damage; the next request byte-identical",
        show=Tests(
            "every damage is named",
            (
                "tests/pipeline/test_bad_models.py",
                "tests/protocol/test_bad_bodies.py",
                "tests/weights",
                "tests/pipeline/test_service.py",
            ),
        ),
    ),
    "kill": Bar(
        must="kill -9 of the engine mid-stream: typed error within 2 s, ready again, nothing left",
        show=Tests(
            "typed error within 2 s, ready again",
            (
                "tests/core/test_remote.py",
                "tests/cli/test_serve.py",
                "tests/pipeline/test_worker.py",
            ),
            keyword="kill or death or left or worker",
        ),
    ),
    # An engine that can be trusted.
    "concurrency": Bar(
        must="batch 1 against 2 to 32, prefix hit against miss, preemption at every step: 0 differ",
        show=Tests(
            "0 differing tokens in 500 / 200 / 300 trials", ("tests/engine/test_equal_answers.py",)
        ),
    ),
    "invariants": Bar(
        must="free + cached + used = total after each of 20,000 random steps; nothing leaks",
        show=Tests(
            "20,000 steps, 0 violations",
            ("tests/engine/test_scheduler.py", "tests/engine/test_block_pool.py"),
        ),
    ),
    "throughput": Bar(
        must="bfloat16, 0.5B, 16 requests at once: >= 3x transformers one after another",
        show=Script(("throughput.py", "{qwen}", "--min", "3")),
        needs=("qwen",),
    ),
    "openai-client": Bar(
        must="streams, cancels, tools, valid JSON on 200 random schemas; blocks freed in one step",
        show=Tests(
            "200 of 200 schemas valid; blocks freed within one step",
            (
                "tests/protocol/test_engine_client.py",
                "tests/protocol/test_engine_client_reasoning.py",
                "tests/protocol/test_openai_client.py",
            ),
        ),
    ),
    "bombs": Bar(
        must="150 schema and regex bombs: typed error or answer within 3 s, engine alive",
        show=Tests(
            "every bomb within 3 s, and the canary equal",
            ("tests/protocol/test_engine_client_bombs.py", "tests/engine/test_grammar_bombs.py"),
        ),
    ),
    "gguf": Bar(
        must="every type equal to the gguf package to the bit; 200 mutated files, no crash",
        show=Tests(
            "all types equal; 200 mutated files and 200 headers, 0 crashes",
            (
                "tests/kernels/test_blocks.py",
                "tests/weights/test_gguf.py",
                f"{PARITY}/test_gguf.py",
            ),
        ),
    ),
    "fit": Bar(
        must="foretold memory within 10 %, speed within 25 %: SmolLM2, 0.5B, 6 layers of 30B-A3B",
        show=Script(
            ("fit.py", "{model}", "{qwen}", "{moe}", "--memory", "0.10", "--speed", "0.25")
        ),
        needs=("model", "qwen", "moe"),
    ),
    # Qwen3-Omni, whole.
    "omni-layouts": Bar(
        must="28,010 tensors of Instruct, 35,259,818,545 parameters; 19,743 of Thinking",
        show=Tests(
            "no tensor left, no parameter empty",
            (
                "tests/models/qwen3_omni/test_weights.py",
                "tests/models/qwen3_omni/test_tensors.py",
            ),
        ),
    ),
    "omni-parity": Bar(
        must="every stage of Qwen3-Omni, also at true widths: relative 1e-4; every mutant fails",
        show=Tests(
            "every stage within 1e-4, every mutant fails",
            tuple(
                f"{OMNI}_{stage}.py"
                for stage in ("audio", "vision", "thinker", "talker", "predictor", "code2wav")
            ),
        ),
    ),
    "omni-greedy": Bar(
        must="greedy text and greedy codes equal transformers on 20 seeds of mixed media",
        show=Tests(
            "20 seeds of text, codes and sound, by stages and as a service: 0 differ",
            (f"{OMNI}_mixed.py", f"{OMNI}_talker.py", f"{OMNI}_codes.py"),
            keyword="not stage and not widths",
        ),
    ),
    "front-ends": Bar(
        must="200 random inputs: mel 1e-5, patches 1/255; positions, placeholders, frames exact",
        show=Tests(
            "mel 1e-5, patches 1e-6, all else equal",
            (
                "tests/media/test_mel.py",
                "tests/media/test_patches.py",
                "tests/media/test_sizes.py",
                "tests/media/test_frame_choice.py",
                "tests/media/test_video.py",
                f"{OMNI}_positions.py",
            ),
        ),
    ),
    "streamed-speech": Bar(
        must="pieces of 1 to 300 frames are one wave; sound before the last text; 8 voices as one",
        show=Tests(
            "pieces join within 1e-5, 1920*T-555 samples, 8 voices as each alone",
            (
                "tests/models/qwen3_omni/test_code2wav.py",
                "tests/speech",
                "tests/pipeline/test_omni_service.py",
            ),
        ),
    ),
    "bad-media": Bar(
        must="180 bad files, decoded and through HTTP: typed error or answer, the next one equal",
        show=Tests(
            "every file within 10 s, and the canary equal",
            ("tests/media/test_bad_media.py", "tests/protocol/test_bad_media.py"),
        ),
    ),
    "omni-speed": Bar(
        must="true widths, 2 layers, beside transformers: decode >= 1.1x, prefill 1.0x, frame 1.5x",
        show=Script(
            (
                *("omni_speed.py", OMNI_CONFIG, "--layers", "2"),
                *("--min-decode", "1.1", "--min-prefill", "1.0", "--min-frame", "1.5"),
            )
        ),
    ),
    # Qwen-Image-Edit.
    "edit-layouts": Bar(
        must="MMDiT 20,430,401,088, text encoder 8,292,166,656, VAE 126,892,531: all used",
        show=Tests(
            "no tensor left, no parameter empty",
            ("tests/models/qwen_image_edit/test_weights.py",),
        ),
    ),
    "edit-parity": Bar(
        must="image edit beside diffusers: every stage 1e-4, latents after 4 and 40 steps 1e-3",
        show=Tests(
            "every stage within 1e-4, every mutant fails, latents within 1e-3",
            (
                "tests/parity/test_image_edit.py",
                "tests/parity/test_image_edit_pipeline.py",
            ),
        ),
    ),
    "edit-savings": Bar(
        must="precomputed modulation, flat VAE, shared prompts, streamed blocks: exact to 1e-5",
        show=Tests(
            "equal to the plain path within 1e-5",
            (
                "tests/models/qwen_image_edit",
                "tests/pipeline/test_edit_parts.py",
            ),
        ),
    ),
    "edit-requests": Bar(
        must="masks of other sizes, CMYK, one pixel, huge, four pictures: error or right result",
        show=Tests(
            "every wish has its effect, every fault its name",
            (
                "tests/pipeline/test_edit.py",
                "tests/pipeline/test_edit_plan.py",
                "tests/server/routes/test_images.py",
            ),
        ),
    ),
    "edit-drift": Bar(
        must="shifts of up to 6 px and zooms of 2 % are measured to 0.2 px and 0.3 %, and undone",
        show=Tests(
            "measured and undone",
            ("tests/diffusion/test_registration.py",),
        ),
    ),
    "edit-block": Bar(
        must="one MMDiT block at true shapes, bfloat16, beside diffusers: >= 1.05x",
        show=Script(("image_edit.py", "block", "--min-ratio", "1.05")),
    ),
    "edit-full": Bar(
        must="image edit at full size, random 4-bit weights, 1024x1024, 2 steps: at most 20 GiB",
        show=Script(("image_edit.py", "full", "--max-gib", "20")),
    ),
    # Voice calls, and what is kept.
    "calls": Bar(
        must="openai SDK in calls, 3 dialects: turn, answer, barge-in, truncate, tool; bad frames",
        show=Tests(
            "every dialect answers, every bad frame and event is told",
            ("tests/protocol/test_realtime.py", "tests/protocol/test_realtime_bad.py"),
        ),
    ),
    "call-scripts": Bar(
        must="500 random scripts of calls leave no task, no request, no descriptor behind",
        show=Script(("call_scripts.py",)),
    ),
    "word-times": Bar(
        must="word times by syllables and loudness, 50 sentences of known timing: median <= 80 ms",
        show=Tests("median within 80 ms", ("tests/media/test_align.py",)),
    ),
    "survival": Bar(
        must="200 kills and 50 full disks: 0 acknowledged messages lost",
        show=Script(("survival.py",)),
    ),
    # A server that every client can talk to.
    "openai-sdk": Bar(
        must="the openai package's own tests for our routes: all pass but those that are listed",
        show=Script(("../tests/protocol/openai_suite.py",)),
    ),
    "described": Bar(
        must="requests made up from our description: 0 faults of ours, 0 let in without a key",
        show=Tests("0 faults, 0 let in", ("tests/protocol/described_suite.py",)),
    ),
    "bad-requests": Bar(
        must="the corpus of bad requests: each one its status, the canary equal, nothing logged",
        show=Tests(
            "every one its status",
            (
                "tests/protocol/test_bad_requests.py",
                "tests/protocol/test_bad_bodies.py",
                "tests/protocol/test_bad_parts.py",
                "tests/protocol/test_raw_http.py",
                "tests/media/test_fetch.py",
            ),
        ),
    ),
    "load": Bar(
        must="500 streams and 200 calls: lag p99 <= 50 ms, <= 100 KB each; 1,000 vanish, 0 left",
        show=Script(("load.py",)),
    ),
    "overload": Bar(
        must="nano offered 10x its capacity: goodput 90 %, refused in 50 ms, first token in 2x",
        show=Script(("overload.py",)),
    ),
    "kills": Bar(
        must="50 kills of each process at all work: told in 2 s, ready again, nothing lost or left",
        show=Script(("kills.py",)),
    ),
    "voice": Bar(
        must="nano called over a socket, 30 turns: first sound in 500 ms, 95 of 100 in 900 ms",
        show=Script(("voice_latency.py",)),
    ),
    # The app.
    "browser": Bar(
        must="the app on nano, in Chromium: all it does end to end, axe silent, no other host",
        show=Tests("every feature works, no finding, no request elsewhere", ("tests/browser",)),
    ),
    "barge-in": Bar(
        must="a call in the browser: silent at the speaker within 150 ms of detected speech",
        show=Tests("silent within 150 ms", ("tests/browser/test_nano_turns.py",), "silences"),
    ),
    "scroll": Bar(
        must="a thread of 1,000 messages scrolls without frames over 50 ms",
        show=Tests("no frame over 50 ms", ("tests/browser/test_long_thread.py",)),
    ),
    # Four bits.
    "moe-peers": Bar(
        must="30B-A3B shape, random, beside llama.cpp's Q4_0: decode 1.3x, prefill 2.5x",
        show=Script(
            ("big_peers.py", "qwen3-30b-a3b", "--min-decode", "1.3", "--min-prefill", "2.5")
        ),
    ),
    "peers": Bar(
        must="0.5B, one pure Q4_0 file: decode >= llama.cpp's, prefill >= its and OpenVINO's",
        show=Script(("peers.py", "{qwen}", "--requantize", "--openvino")),
        needs=("qwen",),
    ),
    "qwq-peers": Bar(
        must="QwQ-32B shape, random, 8 and 16 layers scaled to 64, beside llama.cpp: decode 1.0x",
        show=Script(("big_peers.py", "qwq-32b", "--layers", "8", "16", "--min-decode", "1.0")),
    ),
    "quality": Bar(
        must="SmolLM2 and 0.5B, a text for calibration: divergence <= llama.cpp's Q4_0",
        show=Script(("quality.py", "{model}", "{qwen}", "--max-ratio", "1.0")),
        needs=("model", "qwen"),
    ),
    "kv-int8": Bar(
        must="SmolLM2 and 0.5B, keys and values in 8 bits: divergence at most 0.02 nats",
        show=Script(("kv_quality.py", "{model}", "{qwen}", "--max-divergence", "0.02")),
        needs=("model", "qwen"),
    ),
    "whole-omni": Bar(
        must="Qwen3-Omni whole, from disk: picture, sound, speech in 21 GiB; no major faults later",
        show=Script(("whole_omni.py",)),
    ),
    "speech": Bar(
        must="Qwen3-Omni speaks at full size, random weights, predictor of 6 bits: factor <= 1.0",
        show=Script(("speech.py", "--random", "qwen3-omni")),
    ),
    "predictor": Bar(
        must="nano speaks with its predictor in few bits: wrong words within 1 point of bfloat16",
        show=Script(("predictor_precision.py", "--max-harm", "1.0")),
    ),
    "kernels": Bar(
        must="kernels beside their twins: integers exact, 1 to 64 rows, 1 to 4 threads, all levels",
        show=Tests(
            "integers exact, rows equal to the bit in any batch",
            ("tests/kernels", "tests/layers/test_fused.py"),
        ),
    ),
}


def main() -> int:
    """Show the bars that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(BARS))
    parser.add_argument("--list", action="store_true", help="name the bars and stop")
    parser.add_argument("--model", type=Path, default=SMOLLM2, help="SmolLM2, a GGUF file")
    parser.add_argument("--qwen", type=Path, help="a Qwen2 of 0.5B, a GGUF file")
    parser.add_argument(
        "--moe", type=Path, help="six layers of qwen3-30b-a3b in bfloat16, a folder"
    )
    args = parser.parse_args()
    if args.list or not args.names:
        for name, bar in BARS.items():
            needs = "".join(f" --{need}" for need in bar.needs)
            print(f"{name + needs:34} {bar.must}")
        return 0
    unknown = [name for name in args.names if name not in BARS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(BARS)}")
    files = Files(model=args.model, qwen=args.qwen, moe=args.moe)
    figures = []
    for name in args.names:
        try:
            figures.append((name, True, BARS[name].show(files)))
        except Missed as missed:
            figures.append((name, False, str(missed)))
    for name, holds, figure in figures:
        print(f"{name}: {'' if holds else 'BELOW THE BAR: '}{figure}")
    return 0 if all(holds for _, holds, _ in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
