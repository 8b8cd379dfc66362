"""Registration: by how much an edited picture was moved or zoomed, and bringing it back.

Models of this kind draw the whole picture anew, and what nobody asked to change comes out shifted
by a pixel or zoomed by a percent. Both pictures are compared by phase correlation: the zoom is the
one under which the two agree best, the shift is where their agreement peaks. What was changed on
purpose has no counterpart and drops out.
Source: Kuglin and Hines 1975 (phase correlation).

Not here: what a picture is worth without its drift; the caller decides whether to undo it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myna.core.events import Drift
from myna.media.decoded import Pixels

Plane = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

MAX_SIDE_PX = 512  # on which drift is measured
MAX_ZOOM = 0.04
ZOOM_STEPS = 17  # tried from -MAX_ZOOM to MAX_ZOOM, then refined
NUM_REFINEMENTS = 4
MAX_SHIFT_SHARE = 0.06  # of a side; more is no drift but a new picture
MIN_AGREEMENT = 0.035  # of the peak of correlation; pictures that differ stay below
MIN_GAIN = 1.15  # by which agreement must grow when drift is undone
LEAST_PX = 0.25  # smaller drift is not worth resampling for
EDGE_SHARE = 0.1  # of a side over which a picture fades out before it is compared


@dataclass(frozen=True)
class Peak:
    """Tell where two planes agree best.

    Attributes:
        height: of the peak, from 0 to 1.
        right: how far the second lies to the right of the first, in its pixels.
        down: how far below.
    """

    height: float
    right: float
    down: float


def measure_drift(original: Pixels, edited: Pixels) -> Drift | None:
    """Measure how an edited picture lies off its original, which has the same size.

    Returns:
        The drift, or None if the two have too little in common to tell.
    """
    height, width = original.shape[:2]
    scale = max(1.0, max(height, width) / MAX_SIDE_PX)
    size = max(8, round(width / scale)), max(8, round(height / scale))
    still, moving = _spectrum(_grey(original, size)), _grey(edited, size)
    zooms = np.linspace(1 - MAX_ZOOM, 1 + MAX_ZOOM, ZOOM_STEPS)
    step = float(zooms[1] - zooms[0])
    peaks = {float(zoom): _peak(still, _spectrum(_zoomed(moving, zoom))) for zoom in zooms}
    for _ in range(NUM_REFINEMENTS):
        step /= 2
        best = max(peaks, key=lambda zoom: peaks[zoom].height)
        for zoom in (best - step, best + step):
            peaks[zoom] = _peak(still, _spectrum(_zoomed(moving, zoom)))
    best = max(peaks, key=lambda zoom: peaks[zoom].height)
    peak = peaks[best]
    is_near = max(abs(peak.right) / size[0], abs(peak.down) / size[1]) <= MAX_SHIFT_SHARE
    if peak.height < MIN_AGREEMENT or not is_near:
        return None
    # The edited picture was zoomed by `best` to be compared, so its own zoom is the inverse.
    zoom = 1 / best
    drift = Drift(
        right_px=float(peak.right * zoom * width / size[0]),
        down_px=float(peak.down * zoom * height / size[1]),
        zoom=zoom,
        is_undone=False,
    )
    at_rest = _peak_at_rest(still, _spectrum(moving))
    is_worth_it = extent_px(drift, width, height) >= LEAST_PX
    if is_worth_it and peak.height < MIN_GAIN * at_rest:
        return Drift(right_px=0.0, down_px=0.0, zoom=1.0, is_undone=False)
    return drift


def extent_px(drift: Drift, width: int, height: int) -> float:
    """Tell how far the place that drifted most did so."""
    spread = abs(drift.zoom - 1) * max(width, height) / 2
    return max(abs(drift.right_px), abs(drift.down_px)) + spread


def undo(edited: Pixels, drift: Drift) -> Pixels:
    """Bring a picture back to where it was; what has no source repeats the edge."""
    height, width = edited.shape[:2]
    centre_x, centre_y = width / 2, height / 2
    # What belongs at x is found at centre + (x - centre) * zoom + shift.
    start_x = centre_x * (1 - drift.zoom) + drift.right_px
    start_y = centre_y * (1 - drift.zoom) + drift.down_px
    margin = int(np.ceil(extent_px(drift, width, height))) + 2
    padded = np.pad(edited, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    matrix = (drift.zoom, 0.0, start_x + margin, 0.0, drift.zoom, start_y + margin)
    image = Image.fromarray(padded).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    return np.asarray(image)


def _grey(pixels: Pixels, size: tuple[int, int]) -> Plane:
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("L")
    small = image if image.size == size else image.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def _zoomed(plane: Plane, zoom: float) -> Plane:
    """Enlarge a plane about its centre."""
    height, width = plane.shape
    share = 1 / zoom
    matrix = (share, 0, width / 2 * (1 - share), 0, share, height / 2 * (1 - share))
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(
        image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC),
        dtype=np.float64,
    )


def _spectrum(plane: Plane) -> Spectrum:
    """Give the spectrum of a plane that fades out towards its sides."""
    height, width = plane.shape
    fade = np.outer(_fade(height), _fade(width))
    spectrum: Spectrum = np.fft.rfft2((plane - plane.mean()) * fade)
    return spectrum


def _fade(count: int) -> Plane:
    """Rise from 0 to 1 and fall again."""
    places = (np.arange(count) + 0.5) / count
    distance = np.minimum(places, 1 - places)
    rising: Plane = np.sin(np.pi / 2 * np.minimum(1.0, distance / EDGE_SHARE)) ** 2
    return rising


def _correlation(still: Spectrum, moving: Spectrum) -> Plane:
    cross = moving * still.conj()
    phases = cross / np.maximum(np.abs(cross), 1e-9)
    height, half = cross.shape
    rows = np.fft.fftfreq(height)[:, None]
    columns = np.fft.rfftfreq(2 * (half - 1))[None, :]
    # High frequencies are what the model invents; low ones carry little of where things are.
    weight = np.exp(-((rows**2 + columns**2) / (2 * 0.15**2)))
    plane: Plane = np.fft.irfft2(phases * weight)
    plane *= plane.size / (weight.sum() + weight[:, 1:-1].sum())
    return plane


def _peak_at_rest(still: Spectrum, moving: Spectrum) -> float:
    plane = _correlation(still, moving)
    return float(plane[0, 0])


def _peak(still: Spectrum, moving: Spectrum) -> Peak:
    plane = _correlation(still, moving)
    row, column = np.unravel_index(int(plane.argmax()), plane.shape)
    down = _between(plane[:, column], int(row))
    right = _between(plane[row, :], int(column))
    return Peak(float(plane[row, column]), right, down)


def _between(line: Plane, idx: int) -> float:
    """Find a peak between three neighbours, on a line whose ends meet; the far half is negative."""
    count = len(line)
    before, at, after = (float(line[(idx + step) % count]) for step in (-1, 0, 1))
    curve = before - 2 * at + after
    part = 0.0 if curve == 0 else 0.5 * (before - after) / curve
    place = idx + max(-0.5, min(0.5, part))
    return place - count if place > count / 2 else place
