"""Write a model of the catalogue with random weights, packed as `myna quantize` packs them.

    python benchmarks/random_model.py MODEL OUT [--layers N] [--bits 4] [--table-bits 8]
        [--predictor-bits 8]

MODEL is a name of `myna list`. The folder loads like any other and answers nonsense at the true
speed. One tensor is in memory at a time. `--layers` takes fewer of each stack that writes, speaks
or draws, to try things out; with `--bits 16` nothing is packed.
Not here: configurations and lists of tensors (released), other files (random_folder).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from random_folder import write_rest
from random_weights import RandomCheckpoint, RandomWeights, as_quantized
from released import Released, released
from write_packed import write_weights

from myna.core.errors import InvalidRequest, MynaError, Unavailable
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.pipeline import KEPT
from myna.weights.quantize.scheme import Recipe, with_predictor

STEMS: Mapping[str, str] = {  # how names of files begin, where it is not "model"
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}


def describe(model: Released, recipe: Recipe | None) -> dict[str, dict[str, TensorInfo]]:
    """Say what becomes of each network's tensors, by the folder that it is in.

    Args:
        model: nothing of it is made.
        recipe: which tensors become blocks; None leaves all of them in bfloat16.
    """
    return {
        prefix: as_quantized(network.tensors, None if prefix in KEPT else recipe)
        for prefix, network in model.networks.items()
    }


def write_random_model(model: Released, folder: Path, recipe: Recipe | None) -> int:
    """Write a folder that loads like a released one.

    Args:
        model: what to write.
        folder: is made; nothing may be there.
        recipe: which tensors become blocks; None leaves all of them in bfloat16.

    Returns:
        The bytes of the weights.

    Raises:
        InvalidRequest: something is there.
        Unavailable: the disk has no room.
    """
    if folder.exists():
        raise InvalidRequest(f"{folder} is there already; delete it or name another folder")
    networks = describe(model, recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed_bytes = sum(info.num_bytes for infos in networks.values() for info in infos.values())
    free_bytes = shutil.disk_usage(folder.parent).free
    if needed_bytes > free_bytes:
        raise Unavailable(
            f"{folder.parent} has {free_bytes / 1e9:.2f} GB free, but {needed_bytes / 1e9:.2f} GB "
            "are to be written; make room, name a folder on another disk, or take fewer `--layers`"
        )
    folder.mkdir()
    write_rest(folder, model)
    weights = RandomWeights()
    for prefix, infos in networks.items():
        stem = STEMS.get(prefix, "model")
        write_weights(folder / prefix, RandomCheckpoint(infos, weights), stem=stem)
    return needed_bytes


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a name of `myna list`")
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, metavar="N")
    parser.add_argument("--bits", type=int, choices=(4, 6, 8, 16), default=4)
    parser.add_argument("--table-bits", type=int, choices=(4, 6, 8), default=8)
    parser.add_argument("--predictor-bits", type=int, choices=(4, 6, 8, 16), default=8)
    args = parser.parse_args()
    recipe = None
    if args.bits != 16:
        exempt = with_predictor(args.predictor_bits)
        recipe = Recipe(bits=args.bits, table_bits=args.table_bits, exempt=exempt)
    try:
        model = released(args.model, num_layers=args.layers)
        num_bytes = write_random_model(model, args.out, recipe)
    except MynaError as error:
        sys.exit(str(error))
    print(f"{args.out}: {model.title}, {num_bytes / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
