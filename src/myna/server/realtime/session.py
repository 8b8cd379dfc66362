"""One call, as a machine without I/O: what comes in, and what is to be sent and done about it.

Every method takes the time, changes the session and returns its outputs in order: events for the
client, and effects (`Ask`, `Stop`, `Close`) for whoever carries the call.
Not here: sockets and tasks (carrier), names of the dialects (dialects).
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.core import events as core
from myna.core.errors import ContextOverflow, InvalidRequest, MynaError, Overloaded, Unsupported
from myna.core.requests import Request
from myna.core.service import ModelCard
from myna.media.data_url import decode_base64, is_data_url, parse_data_url
from myna.media.encode import SAMPLE_BYTES
from myna.media.turns import MIDDLE_SILENCE_S, Paused, Started, Stopped, Turn, silence_after
from myna.server.realtime import client_events as client
from myna.server.realtime import server_events as server
from myna.server.realtime.client_events import AnyClientEvent, WireResponse
from myna.server.realtime.config import PATIENCE, SessionConfig
from myna.server.realtime.conversation import Conversation, Item, ItemPart, messages_of
from myna.server.realtime.dialects import Dialect, SessionObject, dialect_of
from myna.server.realtime.effects import Ask, Close, Output, Stop
from myna.server.realtime.items import item_of
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.listening import Listener, MakeFinder
from myna.server.realtime.plans import ask_for_response, ask_for_words, plan_response
from myna.server.realtime.response import Plan, ResponseRun
from myna.server.realtime.server_events import error_object
from myna.server.realtime.transcripts import Transcripts
from myna.server.settings import Limits

# Sound is taken in pieces, so that one long piece may hold several turns.
PIECE_S = 0.1
NORMAL_CLOSURE, GOING_AWAY, POLICY_VIOLATION = 1000, 1001, 1008  # RFC 6455 section 7.4.1


@dataclass(frozen=True, kw_only=True)
class Call:
    """Say what a session is opened with.

    Attributes:
        key: the random part of all its ids.
        card: of the model.
        dialect: of the client, as far as the address tells.
        is_dialect_known: whether nothing the client says can change it.
        limits: of calls.
        wire_limits: of what clients send.
        deadline_s: time that an answer may take.
        make_finder: makes what finds turns.
        unix_s: the time of day, for what clients are told.
    """

    key: str
    card: ModelCard
    dialect: Dialect
    is_dialect_known: bool
    limits: RealtimeLimits
    wire_limits: Limits
    deadline_s: float
    make_finder: MakeFinder
    unix_s: float


class Session:
    """Hold one call."""

    def __init__(self, call: Call, *, now_s: float, config: SessionConfig | None = None) -> None:
        self.dialect = call.dialect
        self.config = config or call.dialect.begin(call.card)
        self.conversation = Conversation(call.limits)
        self._call = call
        self._listener = Listener(call.limits, call.make_finder)
        self._listener.set_up(self.config.input, self.config.turn_detection)
        self._is_dialect_known = call.is_dialect_known
        self._num_ids = 0
        self._runs: dict[str, ResponseRun] = {}
        self._wishes: dict[str, WireResponse] = {}
        self._transcripts = Transcripts(self.conversation)
        self._turn_id = ""
        self._began_s = now_s
        self._last_event_s = now_s
        self._silent_since_s: float | None = None
        self._is_finishing = False
        self._is_closed = False
        self._out: list[Output] = []

    @property
    def num_open(self) -> int:
        """Count what is asked of the service."""
        return len(self._runs) + len(self._transcripts)

    @property
    def next_tick_s(self) -> float:
        """Tell when `tick` has something to do at the latest."""
        limits = self._call.limits
        times = [self._began_s + limits.session_s, self._last_event_s + limits.idle_s]
        idle_s = self.config.turn_detection and self.config.turn_detection.idle_timeout_s
        if idle_s and self._silent_since_s is not None:
            times.append(self._silent_since_s + idle_s)
        return min(times)

    def open(self) -> list[Output]:
        """Greet the client."""
        self._out.append(server.SessionCreated(session=self._session_object()))
        return self._flush()

    def receive(self, event: AnyClientEvent, *, now_s: float) -> list[Output]:
        """Take what the client says; what is wrong with it becomes an event."""
        self._last_event_s = now_s
        try:
            self._obey(event, now_s=now_s)
        except MynaError as error:
            return self.refuse(error, event_id=event.event_id)
        return self._flush()

    def refuse(self, error: MynaError, *, event_id: str | None) -> list[Output]:
        """Tell the client that something was not done."""
        self._out.append(server.Error(error=error_object(error.info(), event_id=event_id)))
        return self._flush()

    def served(self, key: str, event: core.Event, *, now_s: float) -> list[Output]:
        """Take what the service answers to what was asked under a key."""
        if key in self._transcripts:
            self._hear(key, event)
        elif (run := self._runs.get(key)) is not None:
            if isinstance(event, core.Failed) and self._ask_for_less(key, event):
                return self._flush()
            has_ended = isinstance(event, core.Finished | core.Failed)
            try:
                self._out += run.take(event, now_s=now_s)
            except MynaError as error:  # The conversation is full.
                self._out.append(Stop(key=key))
                self._out += run.end("failed", error=error.info())
                has_ended = True
            if has_ended:
                self._end_run(key, now_s=now_s)
        return self._flush()

    def tick(self, *, now_s: float) -> list[Output]:
        """Do what is due."""
        limits, detection = self._call.limits, self.config.turn_detection
        if now_s >= self._began_s + limits.session_s:
            self._expire(f"The call has lasted {limits.session_s:g} s, the longest it may.")
        elif now_s >= self._last_event_s + limits.idle_s:
            self._expire(f"The client has sent nothing for {limits.idle_s:g} s.")
        elif (
            detection is not None
            and detection.idle_timeout_s is not None
            and self._silent_since_s is not None
            and now_s >= self._silent_since_s + detection.idle_timeout_s
        ):
            self._prompt_again(now_s=now_s)
        return self._flush()

    def go_away(self) -> list[Output]:
        """Tell that the server stops soon."""
        self._out.append(server.GoingAway())
        return self._flush()

    def _flush(self) -> list[Output]:
        out, self._out = self._out, []
        return [] if self._is_closed and not out else out

    def _obey(self, event: AnyClientEvent, *, now_s: float) -> None:
        match event:
            case client.AudioAppend(audio=audio):
                self._listen(audio, now_s=now_s)
            case client.ImageAppend(image=image):
                self._see(image)
            case client.AudioCommit():
                self._commit(now_s=now_s)
            case client.AudioClear():
                self._listener.clear()
                self._out += self._transcripts.drop(open_only=False)
                self._out.append(server.AudioCleared())
            case client.SessionUpdate(session=session):
                self._update(bytes(session))
            case client.ResponseCreate(response=wire):
                self._respond(wire or WireResponse(), now_s=now_s)
            case client.ResponseCancel(response_id=response_id):
                self._cancel(response_id, now_s=now_s)
            case client.OutputClear():
                self._interrupt("client_cancelled", now_s=now_s)
            case client.SessionFinish():
                self._finish()
            case _:
                self._edit(event)

    def _edit(self, event: AnyClientEvent) -> None:
        """Change the conversation."""
        match event:
            case client.ItemCreate(item=wire, previous_item_id=after):
                item = self._item(wire)
                self._add(item, after=after)
            case client.ItemRetrieve(item_id=item_id):
                item = self.conversation.get(item_id)
                self._out.append(server.ItemRetrieved(item=item.wire()))
            case client.ItemDelete(item_id=item_id):
                self.conversation.delete(item_id)
                self._out.append(server.ItemDeleted(item_id=item_id))
            case client.ItemTruncate(item_id=item_id, content_index=idx, audio_end_ms=end_ms):
                self.conversation.truncate(item_id, part_idx=idx, end_s=end_ms / 1000)
                self._out.append(
                    server.ItemTruncated(item_id=item_id, content_index=idx, audio_end_ms=end_ms)
                )

    def _update(self, raw: bytes) -> None:
        if not self._is_dialect_known:
            self.dialect = dialect_of(raw, usual=self.dialect)
            self._is_dialect_known = True
        self.config = self.dialect.read_session(
            raw, self.config, self._call.card, limits=self._call.wire_limits
        )
        self._listener.set_up(self.config.input, self.config.turn_detection)
        self._out.append(server.SessionUpdated(session=self._session_object()))

    def _listen(self, audio: str, *, now_s: float) -> None:
        self._check_ears()
        data = decode_base64(audio)
        piece = round(PIECE_S * self._listener.rate_hz) * self.config.input.sample_bytes
        for start in range(0, len(data), piece):
            for turn in self._listener.add(data[start : start + piece]):
                self._take_turn(turn, now_s=now_s)

    def _take_turn(self, turn: Turn, *, now_s: float) -> None:
        detection = self.config.turn_detection
        assert detection is not None, "turns are found only if they are looked for"
        match turn:
            case Started():
                self._turn_id = self._new_id("item")
                self._silent_since_s = None
                begin_ms = round(self._listener.begin_s(turn) * 1000)
                self._out.append(
                    server.SpeechStarted(audio_start_ms=begin_ms, item_id=self._turn_id)
                )
                if detection.interrupt_response:
                    self._interrupt("turn_detected", now_s=now_s)
                if detection.is_semantic:
                    self._set_patience(MIDDLE_SILENCE_S)
            case Paused() if detection.is_semantic:
                self._out += self._transcripts.drop(open_only=True)
                self._ask_for_words(self._listener.peek(), item_id=None)
            case Stopped(at_sample=at_sample):
                end_ms = round(self._listener.seconds(at_sample) * 1000)
                self._out.append(server.SpeechStopped(audio_end_ms=end_ms, item_id=self._turn_id))
                self._out += self._transcripts.drop(open_only=True)
                self._end_turn(self._turn_id)
                if detection.create_response and not self.config.only_listens:
                    self._respond_if_free(now_s=now_s)

    def _set_patience(self, silence_s: float) -> None:
        detection, finder = self.config.turn_detection, self._listener.finder
        if detection is not None and finder is not None:
            finder.silence_s = silence_s * PATIENCE[detection.eagerness]

    def _see(self, image: str) -> None:
        if "image" not in self._call.card.inputs:
            raise Unsupported(f"{self._call.card.id!r} does not take pictures.", param="image")
        data = parse_data_url(image).data if is_data_url(image) else decode_base64(image)
        self._listener.see(data)

    def _commit(self, *, now_s: float) -> None:
        self._check_ears()
        limits = self._call.limits
        if self._listener.heard_s() < limits.min_commit_s:
            raise InvalidRequest(
                f"The buffer holds {self._listener.heard_s() * 1000:.0f} ms of sound, but a turn "
                f"needs {limits.min_commit_s * 1000:.0f} ms; append more before you commit.",
                code="input_audio_buffer_commit_empty",
            )
        item_id = self._turn_id if self._listener.is_in_turn else self._new_id("item")
        self._out += self._transcripts.drop(open_only=True)
        self._end_turn(item_id)
        detection = self.config.turn_detection
        if detection is not None and detection.create_response and not self.config.only_listens:
            self._respond_if_free(now_s=now_s)

    def _end_turn(self, item_id: str) -> None:
        """Make an item of what was heard and seen, and ask for its words if they are wanted."""
        sound, frames = self._listener.take()
        parts = [ItemPart(kind="input_image", frames=frames)] if frames else []
        parts.append(ItemPart(kind="input_audio", data=sound))
        item = Item(id=item_id, parts=parts)
        items = self.conversation.items
        previous_id = items[-1].id if items else None
        self._out.append(server.AudioCommitted(item_id=item_id, previous_item_id=previous_id))
        self._add(item)
        if self.config.transcription is not None or self.config.only_listens:
            self._ask_for_words(sound, item_id=item_id)

    def _add(self, item: Item, *, after: str | None = None) -> None:
        previous_id = self.conversation.add(item, after=after)
        wire = item.wire()
        self._out.append(server.ItemAdded(previous_item_id=previous_id, item=wire))
        self._out.append(server.ItemDone(previous_item_id=previous_id, item=wire))

    def _item(self, wire: client.WireItem) -> Item:
        return item_of(
            wire,
            item_id=self._new_id("item"),
            call_id=self._new_id("call"),
            sound=self.config.input,
            limits=self._call.limits,
            card=self._call.card,
        )

    def _respond_if_free(self, *, now_s: float) -> None:
        """Answer a turn, unless an answer that may not be interrupted is still under way."""
        if not any(run.conversation is not None for run in self._runs.values()):
            self._respond(WireResponse(), now_s=now_s)

    def _respond(self, wire: WireResponse, *, now_s: float) -> None:
        if self._is_finishing or self.config.only_listens:
            raise InvalidRequest("This session gives no answers (any more).", code="no_responses")
        is_beside = wire.conversation == "none"
        if not is_beside and any(run.conversation is not None for run in self._runs.values()):
            raise InvalidRequest(
                "An answer is already under way; cancel it or wait for its `response.done`.",
                code="conversation_already_has_active_response",
            )
        if len(self._runs) >= self._call.limits.max_responses:
            raise Overloaded(f"{len(self._runs)} answers are under way, the most a call may have.")
        card, config = self._call.card, self.config
        plan = plan_response(wire, config, card, response_id=self._new_id("resp"))
        request = self._question(wire, plan)
        run = ResponseRun(
            plan=plan,
            conversation=None if is_beside else self.conversation,
            conversation_id=f"conv_{self._call.key}",
            new_id=self._new_id,
        )
        self._runs[plan.id] = run
        self._silent_since_s = None
        if wire.input is None:
            self._wishes[plan.id] = wire
        self._out += run.begin()
        self._out.append(Ask(key=plan.id, request=request))

    def _question(self, wire: WireResponse, plan: Plan) -> Request:
        card = self._call.card
        messages = (
            self.conversation.messages(card)
            if wire.input is None
            else messages_of([self._referenced(item) for item in wire.input], card)
        )
        return ask_for_response(
            wire,
            plan,
            self.config,
            messages=messages,
            request_id=self._request_id(),
            deadline_s=self._call.deadline_s,
        )

    def _ask_for_less(self, key: str, failed: core.Failed) -> bool:
        """Ask again without the oldest turns, where all of them are more than the model reads."""
        run, wire = self._runs[key], self._wishes.get(key)
        is_too_long = failed.error.code == ContextOverflow.code and not run.items
        if not is_too_long or wire is None or not self.conversation.leave_out_oldest():
            return False
        self._out.append(Ask(key=key, request=self._question(wire, run.plan)))
        return True

    def _referenced(self, wire: client.WireItem) -> Item:
        if wire.type != "item_reference":
            return self._item(wire)
        return self.conversation.get(wire.id or "", param="response.input")

    def _cancel(self, response_id: str | None, *, now_s: float) -> None:
        wanted = [
            key
            for key, run in self._runs.items()
            if key == response_id or (response_id is None and run.conversation is not None)
        ]
        if not wanted:
            raise InvalidRequest(
                "There is no such answer under way that could be cancelled.",
                param=None if response_id is None else "response_id",
                code="response_cancel_not_active",
            )
        for key in wanted:
            self._cut_off(key, "client_cancelled", now_s=now_s)

    def _interrupt(self, reason: str, *, now_s: float) -> None:
        """Stop all answers of the conversation."""
        for key in [key for key, run in self._runs.items() if run.conversation is not None]:
            self._cut_off(key, reason, now_s=now_s)

    def _cut_off(self, key: str, reason: str, *, now_s: float) -> None:
        self._out.append(Stop(key=key))
        self._out += self._runs[key].end("cancelled", reason=reason)
        self._end_run(key, now_s=now_s)

    def _end_run(self, key: str, *, now_s: float) -> None:
        run = self._runs.pop(key)
        self._wishes.pop(key, None)
        if run.conversation is not None and not self._listener.is_in_turn:
            began_s = now_s if run.first_sound_s is None else run.first_sound_s
            self._silent_since_s = max(now_s, began_s + run.sound_s)
        if self._is_finishing:
            self._finish()

    def _ask_for_words(self, sound: bytes, *, item_id: str | None) -> None:
        request = ask_for_words(
            sound,
            self.config,
            request_id=self._request_id(),
            deadline_s=self._call.deadline_s,
        )
        seconds = len(sound) / (SAMPLE_BYTES * self._listener.rate_hz)
        key = self._new_id("hear")
        self._out.append(self._transcripts.ask(key, request, item_id=item_id, seconds=seconds))

    def _hear(self, key: str, event: core.Event) -> None:
        """Take words of what was heard: for the item they belong to, or to judge a pause."""
        said, pending = self._transcripts.take(key, event)
        self._out += said
        if pending is not None:
            self._set_patience(silence_after(pending))
        if self._is_finishing:
            self._finish()

    def _prompt_again(self, *, now_s: float) -> None:
        """Answer the silence that the agreed time passed in."""
        self._silent_since_s = None
        item_id = self._new_id("item")
        end_ms = round(self._listener.seconds(self._listener.num_heard) * 1000)
        begin_ms = max(end_ms - round(self._listener.heard_s() * 1000), 0)
        self._out.append(
            server.TimeoutTriggered(audio_start_ms=begin_ms, audio_end_ms=end_ms, item_id=item_id)
        )
        if self._listener.heard_s() > 0:
            self._end_turn(item_id)
        self._respond_if_free(now_s=now_s)

    def _finish(self) -> None:
        """End the call as soon as nothing is under way."""
        self._is_finishing = True
        if not self._runs and not self._transcripts and not self._is_closed:
            self._is_closed = True
            self._out.append(server.SessionFinished())
            self._out.append(Close(code=NORMAL_CLOSURE, reason="finished"))

    def _expire(self, message: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        error = InvalidRequest(message, code="session_expired").info()
        self._out.append(server.Error(error=error_object(error)))
        self._out.append(Close(code=GOING_AWAY, reason="session expired"))

    def _check_ears(self) -> None:
        if "audio" not in self._call.card.inputs:
            inputs = ", ".join(self._call.card.inputs)
            raise Unsupported(f"{self._call.card.id!r} takes {inputs}, not sound.", param="audio")

    def _session_object(self) -> SessionObject:
        return self.dialect.session(
            self.config,
            session_id=f"sess_{self._call.key}",
            expires_at=round(self._call.unix_s + self._call.limits.session_s),
        )

    def _new_id(self, kind: str) -> str:
        self._num_ids += 1
        return f"{kind}_{self._call.key}{self._num_ids:04}"

    def _request_id(self) -> str:
        self._num_ids += 1
        return f"req_{self._call.key}_{self._num_ids}"
