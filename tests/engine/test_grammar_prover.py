"""The child that proves grammars survives bombs, ends with its parent, is replaced when lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna.core.errors import Overloaded, Unavailable
from myna.engine import grammar_prover
from myna.engine.grammar_child import ProofLimits, Vocabulary
from myna.engine.grammar_prover import Prover

BYTES = Vocabulary(tokens=(*(bytes([byte]) for byte in range(256)), b"<end>"), eos_ids=(256,))
GOOD = json.dumps({"grammars": [{"json_schema": {"type": "integer"}}]})
# Each terminal holds the next one twice: 2**40 letters in 40 lines, which takes long to refuse.
DOUBLING = "start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(40)) + 'A40: "c"'
BOMB = json.dumps({"grammars": [{"lark_grammar": DOUBLING}]})


@pytest.fixture
def prover() -> Iterator[Prover]:
    prover = Prover(BYTES)
    yield prover
    prover.close()


def child_pid(prover: Prover) -> int:
    assert prover._child is not None
    return prover._child.process.pid


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_sound_grammar_has_no_error_and_a_bad_one_says_why(prover: Prover) -> None:
    assert prover.prove(GOOD).error is None
    error = prover.prove('{"grammars": [{"json_schema": {"type": "sound"}}]}').error
    assert error == "Invalid type: sound"


def test_a_long_error_is_cut(prover: Prover) -> None:
    error = prover.prove("start: /" + "(" * 5000 + "/").error
    assert error is not None
    assert len(error) == 301
    assert error.endswith("…")


def test_a_bomb_in_time_ends_its_fork_alone() -> None:
    prover = Prover(BYTES, limits=ProofLimits(compile_s=0.05))
    assert prover.prove(GOOD).error is None
    pid = child_pid(prover)
    error = prover.prove(BOMB).error
    assert error == "it takes longer than 0.05 s to compile, or 1 s to follow; simplify it"
    assert prover.prove(GOOD).error is None
    assert child_pid(prover) == pid
    prover.close()


def test_a_bomb_in_memory_ends_its_fork_alone() -> None:
    prover = Prover(BYTES, limits=ProofLimits(memory_bytes=64 * 2**20))
    error = prover.prove(BOMB).error
    assert error == "it cannot be compiled with 64 MiB of memory; simplify it"
    assert prover.prove(GOOD).error is None
    prover.close()


def test_a_child_that_was_killed_is_replaced_unnoticed(prover: Prover) -> None:
    prover.warm()
    pid = child_pid(prover)
    os.kill(pid, signal.SIGKILL)
    assert prover.prove(GOOD).error is None
    assert child_pid(prover) != pid


def test_a_child_that_hangs_is_ended_and_the_caller_told() -> None:
    prover = Prover(BYTES, limits=ProofLimits(compile_s=0.1, follow_s=0.1))
    prover.warm()
    pid = child_pid(prover)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="hangs; try again"):
        prover.prove(GOOD)
    assert not is_running(pid)
    assert prover.prove(GOOD).error is None
    prover.close()


def test_a_child_that_cannot_start_is_an_error_of_the_service() -> None:
    prover = Prover(Vocabulary(tokens=BYTES.tokens, eos_ids=(10_000,)))
    with pytest.raises(Unavailable, match="did not start"):
        prover.prove(GOOD)


def test_a_child_that_keeps_dying_is_an_error_of_the_service(
    prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_prover._Child, "ask", lambda *_, **__: None)
    with pytest.raises(Unavailable, match="keeps dying"):
        prover.prove(GOOD)


def test_a_proof_that_waits_too_long_for_others_is_refused(
    prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_prover, "QUEUE_S", 0.05)
    with prover._lock, pytest.raises(Overloaded, match="other requests' grammars"):
        prover.prove(GOOD)


def test_proofs_of_many_threads_do_not_mix(prover: Prover) -> None:
    errors: dict[int, str | None] = {}

    def ask(idx: int) -> None:
        schema = {"type": f"kind_{idx}"} if idx % 2 else {"type": "integer"}
        grammar = json.dumps({"grammars": [{"json_schema": schema}]})
        errors[idx] = prover.prove(grammar).error

    threads = [threading.Thread(target=ask, args=(idx,)) for idx in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == {i: f"Invalid type: kind_{i}" if i % 2 else None for i in range(8)}


def test_the_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import time; from myna.engine.grammar_prover import *\n"
            "tokens = tuple(bytes([byte]) for byte in range(256))\n"
            "prover = Prover(Vocabulary(tokens=tokens, eos_ids=(0,)))\n"
            "prover.warm(); print(prover._child.process.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    deadline_s = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not is_running(pid)


def test_the_child_never_imports_torch() -> None:
    code = "import sys, myna.engine.grammar_child; sys.exit('torch' in sys.modules)"
    env = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
