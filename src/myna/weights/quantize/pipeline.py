"""Quantize a folder of several networks: each that is made of matrices by itself, the rest copied.

Not here: how a network's folder is quantized (folder).
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from myna.core.errors import InvalidRequest, Unavailable
from myna.core.progress import Progress
from myna.weights.quantize.folder import QuantizeReport, quantize_folder
from myna.weights.quantize.scheme import Bits
from myna.weights.safetensors_files import has_safetensors

KEPT = ("vae",)  # convolutions, and less than a hundredth of the whole


def quantize_pipeline(
    source: Path, target: Path, *, bits: Bits, progress: Progress
) -> QuantizeReport:
    """Write a pipeline's networks anew, their large matrices in blocks of few bits.

    Args:
        source: a folder in the form of a diffusers pipeline, which is only read.
        target: where the new folder is to be; nothing may be there.
        bits: of most matrices.
        progress: told the bytes read of each network.

    Raises:
        InvalidRequest: something is at the target already.
        Unavailable: the disk has no room.
        BadCheckpoint: the source is damaged.
    """
    part = target.with_name(f"{target.name}.part")
    for path in (target, part):
        if path.exists() or path.is_symlink():
            raise InvalidRequest(f"{path} is there already; delete it or name another folder")
    reports = []
    try:
        part.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            if path.is_file():
                shutil.copyfile(path, part / path.name)
            elif has_safetensors(path) and path.name not in KEPT:
                reports.append(
                    quantize_folder(path, part / path.name, bits=bits, progress=progress)
                )
            else:
                shutil.copytree(path, part / path.name)
        part.rename(target)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _sum(reports)


def _sum(reports: list[QuantizeReport]) -> QuantizeReport:
    """Add reports up; an error is that of the worst network."""
    kinds = {kind for report in reports for kind in report.error}
    return QuantizeReport(
        num_tensors=dict(sum((Counter(report.num_tensors) for report in reports), Counter())),
        bytes_before=sum(report.bytes_before for report in reports),
        bytes_after=sum(report.bytes_after for report in reports),
        error={kind: max(report.error.get(kind, 0.0) for report in reports) for kind in kinds},
        reasons=dict(sum((Counter(report.reasons) for report in reports), Counter())),
    )
