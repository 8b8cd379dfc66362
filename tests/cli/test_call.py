"""`myna talk` and `myna see`: calls with a real server, files in place of the devices."""

from __future__ import annotations

import asyncio
import builtins
import json
import socket
import sys
import threading
import time
import types
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from myna.cli.call import VoiceCall, Wishes
from myna.cli.call_sound import (
    FRAME_BYTES,
    RATE_HZ,
    FileLoudspeaker,
    FileMicrophone,
    SoundCard,
)
from myna.cli.camera import Camera
from myna.core.echo import EchoService
from myna.core.errors import InvalidRequest, NotFound, Unsupported
from myna.core.messages import ImagePart, VideoPart
from myna.core.requests import ChatInput, Request
from myna.media.encode import encode_wav, wav_header
from myna.server.app import create_app
from myna.server.run import make_server
from myna.server.settings import ServerSettings
from talk_sounds import silence, vowels


class Listening(EchoService):
    """Echo, and remember what was asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[Request] = []

    def generate(self, request: Request) -> Any:
        self.asked.append(request)
        return super().generate(request)


@pytest.fixture
def service() -> Listening:
    return Listening(delay_s=0.02)


@pytest.fixture
def url(service: Listening) -> Iterator[str]:
    """Serve the service."""
    server = make_server(create_app(service, settings=ServerSettings(api_keys=("sesame",))))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def talk_file(tmp_path: Path) -> Path:
    """Speak for a second."""
    path = tmp_path / "talk.wav"
    sounds = [silence(0.3, rate_hz=RATE_HZ), vowels(1.0, rate_hz=RATE_HZ)]
    path.write_bytes(encode_wav(np.concatenate(sounds), rate_hz=RATE_HZ))
    return path


def test_a_call_is_held_with_files(
    myna: Any, url: str, talk_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNA_API_KEY", "sesame")
    answer = tmp_path / "answer.wav"
    code, out, err = myna(
        "talk", "--url", url, "--voice", "Aiden", "--language", "en", "--system", "Be brief.",
        "-i", str(talk_file), "-o", str(answer),
    )  # fmt: skip
    assert code == 0, err
    assert out.startswith("audio ")
    assert "> audio " in err
    with wave.open(str(answer)) as file:
        assert file.getframerate() == RATE_HZ
        assert file.getnframes() == 3 * 1920  # the echo beeps once a word


def test_the_camera_is_seen_in_the_turn(
    myna: Any,
    url: str,
    service: Listening,
    talk_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYNA_API_KEY", "sesame")
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    code, _, err = myna("see", "--camera", str(clip), "--url", url, "-i", str(talk_file))
    assert code == 0, err
    questions = [request.input for request in service.asked]
    parts = [
        part
        for question in questions
        if isinstance(question, ChatInput)
        for turn in question.messages
        for part in turn.content
    ]
    assert any(isinstance(part, ImagePart | VideoPart) for part in parts)


def write_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for idx in range(20):
            pixels = np.full((48, 64, 3), idx * 10, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_pictures_are_jpegs_at_their_pace(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    assert len(list(Camera(str(clip), every_s=60.0).pictures())) == 1
    camera = Camera(str(clip), every_s=0.0)
    pictures = camera.pictures()
    assert next(pictures).startswith(b"\xff\xd8\xff")
    camera.close()
    assert list(pictures) == []


def test_a_camera_that_is_not_there_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no camera"):
        Camera("/dev/video99")
    (tmp_path / "a.mp4").write_bytes(b"no film")
    with pytest.raises(NotFound, match="--camera names another, or a video file"):
        Camera(str(tmp_path / "a.mp4"))


def test_a_server_must_answer(myna: Any, talk_file: Path) -> None:
    code, _, err = myna("talk", "--url", "http://127.0.0.1:9", "-i", str(talk_file))
    assert code == 1
    assert "`myna serve` starts a server" in err


def test_a_key_may_be_wanted(myna: Any, url: str, talk_file: Path) -> None:
    code, _, err = myna("talk", "--url", url, "-i", str(talk_file))
    assert code == 1
    assert "MYNA_API_KEY sets it" in err


def test_an_output_needs_an_input(myna: Any, tmp_path: Path) -> None:
    code, _, err = myna("talk", "-o", str(tmp_path / "a.wav"))
    assert code == 2
    assert "--output goes with --input" in err


def test_without_a_sound_card_the_package_is_named(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name == "sounddevice":
            raise ImportError("No module named 'sounddevice'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    code, _, err = myna("talk")
    assert code == 4
    assert "pip install 'myna[talk]'" in err


def test_only_wav_files_of_one_form_are_spoken(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"no wav")
    with pytest.raises(InvalidRequest, match="cannot be read as a WAV file"):
        FileMicrophone(path)
    path.write_bytes(wav_header(rate_hz=8000, num_samples=0))
    with pytest.raises(InvalidRequest, match="1 channels of 16 bits at 8000 Hz; give one"):
        FileMicrophone(path)


def test_a_closed_microphone_is_silent(talk_file: Path) -> None:
    microphone = FileMicrophone(talk_file, is_paced=False)
    assert len(next(microphone.frames())) == FRAME_BYTES
    microphone.close()
    assert list(microphone.frames()) == []


def test_what_was_interrupted_is_kept_as_far_as_it_was_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loudspeaker = FileLoudspeaker(path)
    loudspeaker.begin()
    loudspeaker.play(bytes(2 * RATE_HZ * 10))
    time.sleep(0.1)
    heard_s = loudspeaker.silence()
    assert heard_s < 5.0
    loudspeaker.close()
    with wave.open(str(path)) as file:
        assert file.getnframes() == pytest.approx(heard_s * RATE_HZ, abs=1)


class FakeStream:
    """Stand for a stream of the sound card."""

    def __init__(self, callback: Any, **_: Any) -> None:
        self.callback = callback

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""


def fake_sounddevice(**changes: Any) -> types.ModuleType:
    module = types.ModuleType("sounddevice")
    fields = {
        "RawInputStream": FakeStream,
        "RawOutputStream": FakeStream,
        "PortAudioError": type("PortAudioError", (Exception,), {}),
    }
    for name, value in (fields | changes).items():
        setattr(module, name, value)
    return module


def test_the_sound_card_plays_in_order_and_falls_silent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice())
    card: Any = SoundCard()
    card._input.callback(b"heard", None)
    assert next(card.frames()) == b"heard"
    card.begin()
    card.play(b"12345678")
    out = bytearray(4)
    card._output.callback(out)
    assert out == b"1234"
    assert card.silence() == pytest.approx(2 / RATE_HZ)
    card._output.callback(out)
    assert out == bytes(4)
    card.close()
    assert list(card.frames()) == []


def test_a_sound_card_that_cannot_be_used_says_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = fake_sounddevice()

    def fail(**_: Any) -> None:
        raise module.PortAudioError("Error querying device -1")

    module.RawInputStream = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    with pytest.raises(Unsupported, match="--input and --output take WAV files instead"):
        SoundCard()


class FakeSocket:
    """Be a server that says what it was told to say."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = [json.dumps(event) for event in events]
        self.sent: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self.events)

    def send(self, text: str) -> None:
        """Remember what was sent."""
        self.sent.append(json.loads(text))

    def close(self) -> None:
        """Hang up."""


def test_an_answer_that_is_interrupted_falls_silent_and_is_truncated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sound = {"type": "response.output_audio.delta", "item_id": "item_1", "delta": "AAAA" * 16_000}
    fake: Any = FakeSocket(
        sound,
        {"type": "response.output_audio_transcript.delta", "delta": "Once"},
        {"type": "input_audio_buffer.speech_started"},
        {"type": "input_audio_buffer.speech_started"},
        {"type": "session.going_away"},
        {"type": "error", "error": {"message": "mind the gap"}},
        {"type": "something.new"},
    )
    words: list[str] = []
    microphone: Any = types.SimpleNamespace(frames=lambda: iter(()), close=lambda: None)
    VoiceCall(fake, microphone, FileLoudspeaker(None), write=words.append).hold(
        Wishes(is_patient=True)
    )
    (cut,) = [event for event in fake.sent if event["type"] == "conversation.item.truncate"]
    assert cut["item_id"] == "item_1"
    assert cut["audio_end_ms"] < 1000
    assert words == ["Once"]
    told = capsys.readouterr().err
    assert "about to stop" in told
    assert "error: mind the gap" in told
    (update,) = [event for event in fake.sent if event["type"] == "session.update"]
    assert update["session"]["audio"]["input"]["turn_detection"] == {"type": "semantic_vad"}
