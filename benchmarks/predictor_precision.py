"""Tell how far fewer bits lead the code predictor astray, and whether anybody hears it.

    python benchmarks/predictor_precision.py [MODEL] [--frames 200] [--sentences 40]
    python benchmarks/predictor_precision.py --random

MODEL is a folder that can speak, the model in the box where none is named; it is taken as bfloat16,
whatever it is packed in. It speaks a few sentences; of every frame the predictor then scores each
code again, teacher-forced, in bfloat16 and with its matrices in 8, 6 and 4 bits. The codes that
agree with bfloat16 are counted by codebook: codes 1 to 7, since code 0 is the talker's own. Beside
them stands how far bfloat16 itself agrees with float32: where many codes are nearly as likely, no
rounding can do better. Then it says unseen sentences twice, in bfloat16 and with the fewest bits
that keep `--min-agreement` (8 if none do), and a recogniser that is not ours writes down both. The
last line is the figure; exits non-zero if `--max-harm` points more words are wrong. `--random`
takes a tiny random model, of which no words can be heard.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from myna import embedded
from myna.core.progress import silent
from myna.core.requests import RequestId
from myna.evals import speaking
from myna.kernels.blocks import FORMATS
from myna.kernels.packed import PackedStack, PackedWeight
from myna.kernels.tiles import TILE_ROWS, TILED_KINDS
from myna.layers.linear import Linear
from myna.layers.rope import Rope
from myna.models.qwen3_omni.code_predictor import NUM_GIVEN, CodePredictor
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import expand
from myna.models.qwen3_omni.talker import find_turns
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService
from myna.pipeline.speaking import CodeVocoder, TalkerVoice, speech_rules
from myna.pipeline.speaking_prompt import TalkerBeginning
from myna.speech.speaker import Speaker
from myna.speech.voice import VoiceRequest
from myna.text import tokenizer_files
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint
from myna.weights.quantize.encode import encode_rows

SENTENCES = (
    "The lighthouse keeper counted seven ships before the fog came in from the sea.",
    "Could you tell me which of the two trains stops at the old bridge after nine?",
    "She wrote the number down, looked at it again, and laughed quietly to herself.",
    "Warm bread, salted butter and a pot of strong tea were all that they asked for.",
)
BITS = {8: "Q8_0", 6: "Q6_0", 4: "Q4_0"}
FEW = 7  # codes that the bar is on, the first after the talker's
USUAL_BITS = 8  # what `myna quantize` takes
STREAMS_AT_ONCE = 32


@dataclass(frozen=True)
class Lesson:
    """Hold what the predictor was given and chose: (N, D), (N, D) and (N, Q-1)."""

    hidden: Tensor
    first: Tensor
    codes: Tensor

    def float(self) -> Lesson:
        """Give the same in float32."""
        return replace(self, hidden=self.hidden.float(), first=self.first.float())


class Listening:
    """Stand in for the talker's voice, and keep what passes."""

    def __init__(self, voice: TalkerVoice, speech: Speech) -> None:
        self._voice = voice
        self._speech = speech
        self.decoder = voice.decoder
        self.read = voice.read
        self.kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def complete(
        self, hidden: Tensor, first: Tensor, points: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Choose as the voice does."""
        codes, vectors = self._voice.complete(hidden, first, points)
        self.kept.append((hidden, self._speech.talker.embed(first), codes[:, 1:]))
        return codes, vectors


def load(folder: Path) -> tuple[Config, Thinker, Speech]:
    """Load what reads text and what speaks, in bfloat16."""
    config = Config.from_hf(json.loads((folder / "config.json").read_text()))
    if config.speech is None:
        sys.exit(f"{folder} cannot speak; name a folder with a talker")
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    for network, rules in ((thinker, THINKER_RULES), (speech, SPEECH_RULES)):
        load_weights(network, open_checkpoint(folder), rules, dtype=torch.bfloat16)
    return config, thinker.eval(), speech.eval()


def speak(folder: Path, num_frames: int) -> tuple[CodePredictor, Lesson]:
    """Let the model speak the sentences, and keep what its predictor was asked."""
    config, thinker, speech = load(folder)
    assert config.speech is not None
    voice = TalkerVoice(speech, thinker)
    listening = Listening(voice, speech)
    tokenizer = tokenizer_files.from_folder(folder)
    speaker = Speaker(listening, CodeVocoder(speech), speech_rules(config.speech))
    for seed, sentence in enumerate(SENTENCES):
        prompt = "<|im_start|>user\nSay it.<|im_end|>\n<|im_start|>assistant\n"
        token_ids = tokenizer.encode(prompt, special=True)
        beginning = TalkerBeginning(
            speech.talker,
            config,
            layout=expand(token_ids, (), config.thinker),
            turns=find_turns(torch.tensor(token_ids), config.speech.roles),
            states=None,
            speaker_id=next(iter(config.speech.talker.speakers.values())),
            read=voice.read,
        )
        request = VoiceRequest(id=RequestId(str(seed)), beginning=beginning, seed=seed)
        speaker.add(request)
        speaker.say(request.id, tokenizer.encode(sentence, special=False))
        speaker.end_text(request.id)
    while speaker.has_work() and sum(len(part[0]) for part in listening.kept) < num_frames:
        speaker.step()
    hidden, first, codes = (torch.cat(part) for part in zip(*listening.kept, strict=True))
    return speech.talker.code_predictor, Lesson(hidden, first, codes)


def rounded(network: CodePredictor, kind: str) -> CodePredictor:
    """Copy a predictor with its matrices in blocks, and its steps not fused."""
    depth, network.depth = network.depth, None
    original, network = network, copy.deepcopy(network)
    original.depth = depth
    for part in network.modules():
        if isinstance(part, Linear):
            part.set_packed("weight", _pack(part.weight, kind))
    for name in ("codec_embedding", "lm_head"):
        books = tuple(_pack(book, kind) for book in getattr(network, name))
        network.set_packed(name, PackedStack(books))
    return network


def _pack(weight: Tensor, kind: str) -> PackedWeight:
    if weight.shape[1] % FORMATS[kind].num_values:
        kind = "BF16"  # as `myna quantize` keeps it
        return PackedWeight(kind, weight.view(torch.uint8), None, tuple(weight.shape))
    kind = TILED_KINDS[kind] if weight.shape[0] % TILE_ROWS == 0 else kind
    return PackedWeight(kind, encode_rows(kind, weight), None, tuple(weight.shape))


@torch.inference_mode()
def scores(network: CodePredictor, lesson: Lesson) -> Tensor:
    """Score every code with those before it given: (N, Q-1, V) float32."""
    parts = []
    for start in range(0, len(lesson.codes), STREAMS_AT_ONCE):
        rows = slice(start, start + STREAMS_AT_ONCE)
        parts.append(_score(network, lesson.hidden[rows], lesson.first[rows], lesson.codes[rows]))
    return torch.cat(parts)


def _score(network: CodePredictor, hidden: Tensor, first: Tensor, codes: Tensor) -> Tensor:
    caches = network.fresh_caches(len(hidden))
    turns = network.rope_table.at(torch.arange(network.config.num_codebooks), hidden.dtype)
    x = torch.stack((hidden, first), 1).flatten(0, 1)
    rope = Rope(*(part[:NUM_GIVEN].repeat(len(hidden), 1, 1) for part in (turns.cos, turns.sin)))
    found = [network.step(x, rope, caches, book=0)]
    for book in range(1, codes.shape[1]):
        x = network.read(codes[:, book - 1], book=book - 1)
        place = slice(book + 1, book + 2)
        found.append(network.step(x, Rope(turns.cos[place], turns.sin[place]), caches, book=book))
    return torch.stack(found, 1)


def compare(exact: Tensor, other: Tensor) -> tuple[list[float], float]:
    """Give the share of equal likeliest codes by codebook, and the mean divergence in nats."""
    agreement = (exact.argmax(-1) == other.argmax(-1)).float().mean(0).tolist()
    log_exact, log_other = exact.log_softmax(-1), other.log_softmax(-1)
    divergence = (log_exact.exp() * (log_exact - log_other)).sum(-1).mean()
    return agreement, float(divergence)


async def wrong_words(folder: Path, bits: Sequence[int | None], count: int) -> list[float]:
    """Say unseen sentences with the predictor in so many bits, None for bfloat16.

    Returns:
        The share of words, in percent, that the recogniser did not understand, for each.
    """
    options = LoadOptions(model_id="nano", dtype="bfloat16", keep_packed=False)
    model = load_model(folder, options, silent)
    service = LocalService(model)
    assert model.omni is not None
    assert model.omni.speech is not None, "it has just spoken"
    talker = model.omni.speech.get().talker
    exact, found = talker.code_predictor, []
    for one in bits:
        if one is not None:
            talker.code_predictor = rounded(exact, BITS[one])
            talker.code_predictor.fuse()
        report = await speaking.run(service, limit=count)
        found.append(report.measured)
        print(f"{'bfloat16' if one is None else f'{one} bits'}: {report.measured} % of words wrong")
    await service.close()
    return found


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=embedded.folder())
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--min-agreement", type=float, default=0.98)
    parser.add_argument("--bits", type=int, choices=sorted(BITS), help="listen to these")
    parser.add_argument("--sentences", type=int, default=40, help="0 listens to none")
    parser.add_argument("--max-harm", type=float, default=1.0, help="points of wrong words")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    if args.model is None and not args.random:
        parser.error("the box is empty; name a model that can speak, or pass --random")
    if args.random:
        args.sentences = 0
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Speak, score, compare and listen."""
    args = read_options(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_tiny_omni(Path(scratch) / "tiny") if args.random else args.model
        network, lesson = speak(folder, args.frames)
    exact = scores(network, lesson)
    ceiling, _ = compare(scores(copy.deepcopy(network).float(), lesson.float()), exact)
    print(
        f"bfloat16 beside float32: {sum(ceiling[:FEW]) / len(ceiling[:FEW]):.2%} of codes 1-{FEW}"
    )
    found = {}
    for bits, kind in BITS.items():
        agreement, divergence = compare(exact, scores(rounded(network, kind), lesson))
        few = sum(agreement[:FEW]) / len(agreement[:FEW])
        found[bits] = {"few": few, "codebooks": agreement, "divergence": divergence}
        shares = " ".join(f"{share:.3f}" for share in agreement)
        print(f"{bits} bits: {few:.2%} of codes 1-{FEW}, {divergence:.4f} nats; each: {shares}")
    enough = [bits for bits, item in found.items() if item["few"] >= args.min_agreement]
    chosen = args.bits or min(enough, default=USUAL_BITS)
    report = {"command": sys.argv, "frames": len(lesson.codes), "bits": found, "chosen": chosen}
    narrowest = f"{min(enough)} bits are enough" if enough else "bfloat16 is needed"
    figure = f"{len(lesson.codes)} frames, {args.min_agreement:.0%} of codes 1-{FEW}: {narrowest}"
    is_harmless = True
    if args.sentences:
        plain, other = asyncio.run(wrong_words(folder, (None, chosen), args.sentences))
        report["wrong_words"] = {"bfloat16": plain, str(chosen): other, "count": args.sentences}
        is_harmless = other <= plain + args.max_harm
        figure += f"; wrong words {other} % at {chosen} bits, {plain} % in bfloat16"
    if args.json is not None:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    print(figure)
    return 0 if is_harmless else 1


if __name__ == "__main__":
    sys.exit(main())
