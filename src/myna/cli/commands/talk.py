"""`myna talk`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from myna.cli.call import VoiceCall, Wishes, dial
from myna.cli.call_sound import FileLoudspeaker, FileMicrophone, Loudspeaker, Microphone, SoundCard
from myna.cli.camera import Camera
from myna.cli.console import note
from myna.cli.options import LanguageOption, ModelOption, SystemOption, UrlOption, VoiceOption
from myna.cli.remote_server import LOCAL_URL
from myna.core.errors import InvalidRequest
from myna.core.settings import read_settings

InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input", "-i", help="A WAV file (16 bits, 24,000 Hz, mono) to speak instead of you."
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="A WAV file for the answers.")
]
PatientOption = Annotated[
    bool, typer.Option("--patient", help="Wait longer where a sentence seems unfinished.")
]


def command(
    url: UrlOption = None,
    model: ModelOption = None,
    voice: VoiceOption = None,
    language: LanguageOption = None,
    system: SystemOption = None,
    is_patient: PatientOption = False,
    input_file: InputOption = None,
    output_file: OutputOption = None,
) -> None:
    """Talk with the model of a server, aloud; speak up to interrupt it, Ctrl-C ends the call."""
    wishes = Wishes(
        voice=voice.lower() if voice else None,
        instructions=system,
        is_patient=is_patient,
        language=language,
    )
    hold_call(
        wishes, url=url, model_id=model, input_file=input_file, output_file=output_file, camera=None
    )


def hold_call(
    wishes: Wishes,
    *,
    url: str | None,
    model_id: str | None,
    input_file: Path | None,
    output_file: Path | None,
    camera: Camera | None,
) -> None:
    """Call a server, with files in place of the sound card where they are given.

    Raises:
        InvalidRequest: one file is given where both are needed.
        Unavailable: no server answers.
        Unsupported: there is no sound card that can be used.
    """
    if output_file is not None and input_file is None:
        raise InvalidRequest("--output goes with --input: without one, you hear the answers")
    settings = read_settings()
    microphone: Microphone
    loudspeaker: Loudspeaker
    if input_file is not None:
        microphone, loudspeaker = FileMicrophone(input_file), FileLoudspeaker(output_file)
    else:
        microphone = loudspeaker = SoundCard()
    try:
        socket = dial(url or LOCAL_URL, settings, model_id=model_id)
        if input_file is None:
            note("speak; headphones keep the model from hearing itself; Ctrl-C ends the call")
        pictures = None if camera is None else camera.pictures()
        VoiceCall(socket, microphone, loudspeaker, write=_write, pictures=pictures).hold(wishes)
    finally:
        microphone.close()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
