"""`myna see`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.call import Wishes
from myna.cli.camera import Camera
from myna.cli.commands.talk import InputOption, OutputOption, PatientOption, hold_call
from myna.cli.options import LanguageOption, ModelOption, SystemOption, UrlOption, VoiceOption


def command(
    camera: Annotated[
        str | None, typer.Option(help="A camera, such as /dev/video0, or a video file.")
    ] = None,
    url: UrlOption = None,
    model: ModelOption = None,
    voice: VoiceOption = None,
    language: LanguageOption = None,
    system: SystemOption = None,
    is_patient: PatientOption = False,
    input_file: InputOption = None,
    output_file: OutputOption = None,
) -> None:
    """Talk with the model of a server about what a camera sees."""
    eye = Camera(camera)
    wishes = Wishes(
        voice=voice.lower() if voice else None,
        instructions=system,
        is_patient=is_patient,
        language=language,
    )
    try:
        hold_call(
            wishes,
            url=url,
            model_id=model,
            input_file=input_file,
            output_file=output_file,
            camera=eye,
        )
    finally:
        eye.close()
