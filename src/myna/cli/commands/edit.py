"""`myna edit`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from myna.cli.compose import choose, load_here
from myna.cli.console import answer, bytes_of, progress_bars
from myna.cli.edit import PictureFiles, read_picture, show_edit
from myna.cli.options import Dtype, DtypeOption, EchoOption, SeedOption
from myna.cli.talker import LocalTalker
from myna.core.errors import InvalidRequest
from myna.core.requests import EditInput, SamplingParams
from myna.core.settings import read_settings

DEFAULT_MODEL = "qwen-image-edit-2509"


def command(
    images: Annotated[list[Path], typer.Argument(help="Picture 1, Picture 2, Picture 3.")],
    prompt: Annotated[str, typer.Argument(help="What to change.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The PNG, JPEG or WebP file to write.")
    ],
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            "-m",
            help="Change Picture 1 only where this one is transparent, or white.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="A name of `myna list`, or a folder.")
    ] = DEFAULT_MODEL,
    negative: Annotated[str, typer.Option(help="What to stay away from.")] = " ",
    size: Annotated[
        str | None,
        typer.Option(help="Width and height, such as 1024x768; default: the picture's own."),
    ] = None,
    megapixels: Annotated[
        float | None,
        typer.Option(help="How large the model draws; less is faster. Default: 1.05."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps out of noise; default: 40.")] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How hard to follow the prompt; default: 4. 1 is twice as fast."),
    ] = None,
    step_cache: Annotated[
        float | None,
        typer.Option(
            help="Faster, not the same picture: reuse most of an earlier step while the first "
            "block's part changed by less than this share, such as 0.1. Default: never.",
            metavar="SHARE",
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many pictures to make.")] = 1,
    seed: SeedOption = None,
    align: Annotated[
        bool,
        typer.Option("--align/--no-align", help="Undo shifts and zooms nobody asked for."),
    ] = True,
    lora: Annotated[
        Path | None,
        typer.Option(
            help="A file of changes; Lightning's is drawn in as many steps as its name says.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for weights, such as 8GB; what does not fit is read again and again.",
            metavar="SIZE",
        ),
    ] = None,
    dtype: DtypeOption = Dtype.AUTO,
    echo: EchoOption = False,
) -> None:
    """Change pictures as a prompt says; one to three of them, Picture 1 to Picture 3."""
    settings = read_settings()
    files = PictureFiles(output, count=count)
    asked = EditInput(
        pictures=tuple(read_picture(path) for path in images),
        prompt=prompt,
        negative_prompt=negative,
        mask=None if mask is None else read_picture(mask),
        size=None if size is None else read_size(size),
        work_px=None if megapixels is None else round(megapixels * 1_000_000),
        num_steps=steps,
        guidance=guidance,
        step_cache=step_cache,
        is_aligned=align,
        file_format=files.file_format,
    )
    choice = choose(
        model,
        settings,
        dtype=dtype,
        max_context=None,
        keep_packed=None,
        kv_memory=None,
        yarn=None,
        is_echo=echo,
    )
    choice = msgspec.structs.replace(
        choice,
        lora=None if lora is None else str(lora),
        weight_memory_bytes=None if memory is None else bytes_of(memory),
    )
    with progress_bars() as progress:
        talker = LocalTalker(load_here(choice, progress))
    try:
        with closing(talker.answer(asked, SamplingParams(seed=seed), num_choices=count)) as events:
            for line in show_edit(events, files):
                answer(line)
    finally:
        talker.close()


def read_size(text: str) -> tuple[int, int]:
    """Read a width and a height.

    Raises:
        InvalidRequest: it is none.
    """
    wide, cross, high = text.lower().partition("x")
    if not (cross and wide.isascii() and wide.isdigit() and high.isascii() and high.isdigit()):
        raise InvalidRequest(f"{text!r} is no size; give one such as 1024x768", param="size")
    return int(wide), int(high)
