"""Damaged, lying, odd and hostile files, made from seeds: what tests of several rooms send."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
from PIL import Image

from media_files import write_sound, write_video

Make = Callable[[], bytes]
Case = tuple[str, str, Make]
SOUNDS = {
    "pcm": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "aac": ("ipod", "aac"),
}


def photo() -> Image.Image:
    x, y = np.meshgrid(np.arange(80), np.arange(60))
    noise = np.random.default_rng(0).integers(0, 40, (60, 80, 3))
    pixels = np.stack([x * 3, y * 4, x + y], axis=-1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@cache
def pictures() -> dict[str, bytes]:
    return {
        "png": save(photo(), "PNG"),
        "jpeg": save(photo(), "JPEG"),
        "progressive": save(photo(), "JPEG", progressive=True),
        "webp": save(photo(), "WEBP"),
        "lossless": save(photo(), "WEBP", lossless=True),
        "gif": save(photo(), "GIF"),
    }


def flip_bits(data: bytes, seed: int) -> bytes:
    draw, damaged = random.Random(seed), bytearray(data)
    for _ in range(1 + len(data) // 500):
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def cut(data: bytes, seed: int) -> bytes:
    return data[: random.Random(seed).randrange(1, len(data))]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 1, colour: int = 0, body: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bomb(side: int) -> bytes:
    """Write a small file of a black square that decodes to a large picture."""
    return png(side, side, body=zlib.compress(bytes((side // 8 + 1) * side), 9))


def wav(**fields: int) -> bytes:
    """Write a second of sound under a header that lies."""
    facts = {"kind": 1, "channels": 1, "rate": 16_000, "align": 2, "bits": 16, "data": 32_000}
    facts |= fields
    form = struct.pack(
        "<HHIIHH",
        facts["kind"], facts["channels"], facts["rate"], 32_000, facts["align"], facts["bits"],
    )  # fmt: skip
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + form
        + b"data" + struct.pack("<I", facts["data"]) + bytes(range(256)) * 125
    )  # fmt: skip


def picture_cases() -> Iterator[Case]:
    for name in pictures():
        for seed in range(3):
            yield f"{name} cut {seed}", "image", lambda n=name, s=seed: cut(pictures()[n], s)
            yield (
                f"{name} flipped {seed}",
                "image",
                lambda n=name, s=seed: flip_bits(pictures()[n], s),
            )
    for width, height in [(0, 0), (0, 5), (60_000, 1), (65_535, 1), (2**31 - 1, 2**31 - 1)]:
        yield f"png {width} x {height}", "image", lambda w=width, h=height: png(w, h)
    yield "bomb of 169 megapixels", "image", lambda: bomb(13_000)
    yield "bomb of 49 megapixels", "image", lambda: bomb(7_000)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24), 9))
    yield "text bomb", "image", lambda: (d := pictures()["png"])[:33] + text + d[33:]
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**24), 9))
    yield "profile bomb", "image", lambda: (d := pictures()["png"])[:33] + profile + d[33:]
    yield "many frames", "image", lambda: save(
        Image.new("L", (9, 9)), "GIF", save_all=True,
        append_images=[Image.new("L", (9, 9), idx % 250) for idx in range(1, 300)],
    )  # fmt: skip
    for name, data in {
        "nothing": b"",
        "one byte": b"\x89",
        "spaces": b" " * 1000,
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "photoshop": b"8BPS\0\1" + bytes(100),
        "zip": b"PK\3\4" + bytes(100),
        "html": b"<html><img src=http://127.0.0.1/></html>",
        "png magic, jpeg body": b"\x89PNG\r\n\x1a\n\xff\xd8\xff\xe0" + bytes(100),
    }.items():
        yield name, "image", lambda d=data: d


def sound_cases() -> Iterator[Case]:
    for name, make in sound_files().items():
        for seed in range(2):
            yield f"{name} cut {seed}", "audio", lambda m=make, s=seed: cut(m(), s)
            yield f"{name} flipped {seed}", "audio", lambda m=make, s=seed: flip_bits(m(), s)
    for field, values in {
        "data": (0, 2**32 - 1),
        "align": (0, 65_535),
        "rate": (0, 1, 2**31),
        "channels": (0, 255, 65_535),
        "bits": (0, 7, 65),
        "kind": (0, 3, 0xFFFE),
    }.items():
        for value in values:
            yield f"wav {field}={value}", "audio", lambda f=field, v=value: wav(**{f: v})
    for name, data in {
        "nothing": b"",
        "playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "list": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio 45678 RTP/AVP 0\n",
        "tags without sound": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(5000),
    }.items():
        yield f"{name} as sound", "audio", lambda d=data: d
        yield f"{name} as video", "video", lambda d=data: d


def video_cases() -> Iterator[Case]:
    videos = video_files()
    for name, make in videos.items():
        for seed in range(3):
            yield f"{name} cut {seed}", "video", lambda m=make, s=seed: cut(m(), s)
            yield f"{name} flipped {seed}", "video", lambda m=make, s=seed: flip_bits(m(), s)

    def patched(kind: bytes, at: int, value: bytes) -> bytes:
        """Overwrite bytes of a box in an MP4 file."""
        data = bytearray(videos["mp4"]())
        place = data.index(kind) + len(kind) + at
        data[place : place + len(value)] = value
        return bytes(data)

    huge = b"\xff" * 4
    yield "a day declared", "video", lambda: patched(b"mvhd", 16, b"\x7f\xff\xff\xff")
    yield "no time scale", "video", lambda: patched(b"mdhd", 12, bytes(4))
    yield "all samples of one size", "video", lambda: patched(b"stsz", 4, b"\0\x10\0\0")
    yield "billions of samples", "video", lambda: patched(b"stsz", 8, huge)
    yield "billions of times", "video", lambda: patched(b"stts", 4, huge)
    yield "billions of chunks", "video", lambda: patched(b"stco", 4, huge)
    yield "samples elsewhere", "video", lambda: patched(b"stco", 8, huge)
    yield "times that jump", "video", lambda: patched(b"stts", 12, b"\x7f\xff\xff\xff")


@cache
def sound_files() -> dict[str, Make]:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 24_000))
    return {
        name: cache(partial(write_sound, noise, form=form, codec=codec, rate_hz=48_000))
        for name, (form, codec) in SOUNDS.items()
    }


@cache
def video_files() -> dict[str, Make]:
    return {
        "mp4": cache(partial(write_video, 24, with_sound=True)),
        "webm": cache(partial(write_video, 24, form="webm", codec="libvpx")),
        "mkv": cache(partial(write_video, 24, form="matroska", codec="mpeg4")),
    }


def float_wav(*samples: float, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """Write samples as they are, numbers or not."""
    data = np.array(samples, "<f4").tobytes()
    align = 4 * channels
    form = struct.pack("<HHIIHH", 3, channels, rate_hz, rate_hz * align, align, 32)
    body = b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def odd_picture_cases() -> Iterator[Case]:
    """List pictures of rare kinds and sizes, and kinds that are not taken."""
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield f"png of {mode}", "image", lambda m=mode: save(photo().convert("L").convert(m), "PNG")
    deep = np.asarray(photo().convert("L")).astype(np.uint16) * 257
    yield "png of 16 bits", "image", lambda: save(Image.fromarray(deep), "PNG")
    yield "jpeg of four inks", "image", lambda: save(photo().convert("CMYK"), "JPEG")
    for size in ((1, 1), (3, 3), (1, 150), (150, 1), (1, 9_000), (31, 33)):
        yield f"png of {size}", "image", lambda s=size: save(Image.new("RGB", s, "red"), "PNG")
    for form in ("TIFF", "JPEG2000", "BMP", "PPM", "ICO", "DDS", "PDF", "TGA", "EPS"):
        yield form.lower(), "image", lambda f=form: save(photo(), f)


def odd_sound_cases() -> Iterator[Case]:
    """List sounds of rare lengths, rates and values."""
    for count in (1, 2, 159, 160, 161, 400, 1_599, 1_600, 16_001):
        yield f"{count} samples", "audio", lambda n=count: float_wav(*[0.1] * n)
    for value in (float("nan"), float("inf"), 1e38, 1e-45, -9.0):
        yield f"samples of {value}", "audio", lambda v=value: float_wav(*[0.1, v] * 800)
    for rate_hz in (1, 100, 384_000, 999_999):
        yield f"{rate_hz} Hz", "audio", lambda r=rate_hz: float_wav(*[0.1] * 999, rate_hz=r)
    for channels in (2, 8, 16, 64):
        yield (
            f"{channels} channels",
            "audio",
            lambda c=channels: float_wav(*[0.1] * 6_400, channels=c),
        )


def odd_video_cases() -> Iterator[Case]:
    """List videos that are short, oddly sized, or something else."""
    for count in (1, 2, 3):
        yield f"{count} frames", "video", lambda n=count: write_video(n, with_sound=n > 1)
    for size in ((2, 2), (16, 2_000), (34, 18)):
        yield f"frames of {size}", "video", lambda s=size: write_video(4, size=s)
    for kind, name in (("video", "mp3"), ("image", "mp3"), ("video", "pcm")):
        yield f"{name} as {kind}", kind, lambda n=name: sound_files()[n]()
    for kind, name in (("video", "png"), ("video", "gif"), ("audio", "jpeg")):
        yield f"{name} as {kind}", kind, lambda n=name: pictures()[n]
    for kind in ("image", "audio"):
        yield f"mp4 as {kind}", kind, lambda: video_files()["mp4"]()


def bad_media() -> dict[str, tuple[str, Make]]:
    """List all cases by name: the kind that each claims to be, and what makes its bytes."""
    damaged = [*picture_cases(), *sound_cases(), *video_cases()]
    every = [*damaged, *odd_picture_cases(), *odd_sound_cases(), *odd_video_cases()]
    return {f"{kind}: {name}": (kind, make) for name, kind, make in every}
