"""The thread that speaks: it alone calls the speaker, between steps it does what others ask.

Not here: what a step is (speaker), what becomes of the sound (the listeners).
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from myna.core.errors import InternalError, MynaError, Unavailable
from myna.core.requests import RequestId
from myna.speech.protocols import Listener
from myna.speech.speaker import Speaker, VoiceOutput
from myna.speech.turns import Turns
from myna.speech.voice import VoiceRequest

log = logging.getLogger("myna.speech")

Command = Callable[[], None]
JOIN_S = 30.0


class SpeechLoop:
    """Let a speaker speak until closed. All methods may be called from any thread.

    Args:
        speaker: belongs to the loop from now on.
        turns: shared with those who compute on the same cores.
    """

    def __init__(self, speaker: Speaker, turns: Turns | None = None) -> None:
        self._speaker = speaker
        self._turns = turns or Turns()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._listeners: dict[RequestId, Listener] = {}
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="myna-speech", daemon=True)
        self._thread.start()

    def start(self, request: VoiceRequest, listener: Listener) -> None:
        """Begin a voice; its fate is told to the listener alone."""
        self._ask(lambda: self._add(request, listener))
        if self._is_closed:
            listener.on_error(_closing())

    def say(self, request_id: RequestId, token_ids: list[int]) -> None:
        """Give a voice more text."""
        self._ask(lambda: self._speaker.say(request_id, token_ids))

    def follow(self, request_id: RequestId, num_read: int) -> None:
        """Tell a voice that who writes has read so many tokens of the prompt."""
        self._ask(lambda: self._speaker.follow(request_id, num_read))

    def end_text(self, request_id: RequestId) -> None:
        """Tell a voice that no text follows."""
        self._ask(lambda: self._speaker.end_text(request_id))

    def cancel(self, request_id: RequestId) -> None:
        """Silence a voice before the next frame; unknown ids are ignored."""
        self._ask(lambda: self._drop(request_id))

    def close(self) -> None:
        """Stop after the current frame; open voices fail."""
        if self._is_closed:
            return
        self._is_closed = True
        self._commands.put(None)
        self._thread.join(JOIN_S)

    def _ask(self, command: Command) -> None:
        self._turns.call_speech()
        self._commands.put(command)

    # On the thread that speaks.

    def _run(self) -> None:
        while self._obey():
            try:
                with self._turns.speech(self._speaker.lead_s):
                    outputs = self._speaker.step()
            except Exception:  # the boundary of the speaker: nobody may be left waiting
                log.exception("event=step_failed open=%d", len(self._listeners))
                self._fail_all(InternalError("speech failed; the server's log has the cause"))
                continue
            for output in outputs:
                self._deliver(output)
        self._fail_all(_closing())

    def _obey(self) -> bool:
        """Carry out what was asked since the last frame; wait while no voice can go on."""
        while True:
            self._turns.set_slack(self._speaker.slack_s)
            is_idle = not self._speaker.has_work()
            if is_idle and self._commands.empty():
                self._turns.rest()
            try:
                command = self._commands.get(block=is_idle)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()

    def _add(self, request: VoiceRequest, listener: Listener) -> None:
        try:
            self._speaker.add(request)
        except Exception:  # a voice that cannot even begin must not end the others
            log.exception("request=%s event=add_failed", request.id)
            listener.on_error(InternalError("beginning to speak failed; see the server's log"))
        else:
            self._listeners[request.id] = listener

    def _drop(self, request_id: RequestId) -> None:
        self._speaker.cancel(request_id)
        self._listeners.pop(request_id, None)

    def _deliver(self, output: VoiceOutput) -> None:
        listener = self._listeners.get(output.id)
        if listener is None:
            return
        try:
            if output.samples is not None and len(output.samples) > 0:
                listener.on_sound(output.samples, output.realtime_factor)
            if output.num_frames is not None:
                self._drop(output.id)
                listener.on_end(output.num_frames)
        except Exception:  # one voice's sound must not end the others
            log.exception("request=%s event=sound_failed", output.id)
            self._drop(output.id)
            listener.on_error(InternalError("sending the sound failed; see the server's log"))
        if output.error is not None:
            self._drop(output.id)
            listener.on_error(output.error)

    def _fail_all(self, error: MynaError) -> None:
        for request_id, listener in list(self._listeners.items()):
            self._drop(request_id)
            listener.on_error(error)


def _closing() -> MynaError:
    return Unavailable("the model is being unloaded; try again later")
