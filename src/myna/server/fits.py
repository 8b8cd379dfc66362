"""Whether models will run on this machine, and how fast: measured once by `myna fit`, and kept.

Measuring loads torch and a few layers, so it happens in a process of its own that yields to all
others; one at a time. Not here: how it is measured (pipeline.fit).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from myna.core.errors import Unavailable

NAME = "fits.json"
CONTEXT = 8192
TIMEOUT_S = 900.0
NICENESS = 10
CODES = (0, 1)  # it fits; it does not
COMMAND = (sys.executable, "-m", "myna", "fit")


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What `myna fit --json` found out.

    Attributes:
        peak_bytes: the most memory that is used at once, with `context` tokens in it.
        tokens_per_s: of one answer.
    """

    peak_bytes: int
    context: int
    tokens_per_s: float | None


class _Kept(msgspec.Struct, frozen=True):
    """A fit, and the size of the model that it is of: another size is another model."""

    num_bytes: int
    fit: Fit


class Fits:
    """Measure models of this server's library by name, and remember what came of it.

    Args:
        home: the data folder.
        command: measures a model when its name is added.
    """

    def __init__(self, home: Path, *, command: Sequence[str] = COMMAND) -> None:
        self._path = home / NAME
        self._command = command
        self._turn = asyncio.Lock()

    def known(self, sizes: Mapping[str, int]) -> dict[str, Fit]:
        """Read what was measured before; a damaged file counts as none.

        Args:
            sizes: the bytes of each model that is asked for, by name.
        """
        return {
            name: kept.fit
            for name, kept in self._read().items()
            if kept.num_bytes == sizes.get(name)
        }

    async def measure(self, name: str, *, num_bytes: int) -> Fit:
        """Give what is known of a model, or measure it.

        Raises:
            Unavailable: it cannot be measured.
        """
        async with self._turn:
            known = await asyncio.to_thread(self.known, {name: num_bytes})
            if name in known:
                return known[name]
            fit = await self._run(name)
            await asyncio.to_thread(self._keep, name, _Kept(num_bytes, fit))
            return fit

    async def _run(self, name: str) -> Fit:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            name,
            "--json",
            "--context",
            str(CONTEXT),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            async with asyncio.timeout(TIMEOUT_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise Unavailable(
                f"Measuring {name} took longer than {TIMEOUT_S:g} s; "
                "try it when the machine is idle."
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        with suppress(msgspec.MsgspecError):
            if process.returncode in CODES:
                return msgspec.json.decode(out, type=Fit)
        said = err.decode(errors="replace").strip().partition("\n")[0] or "it said nothing"
        raise Unavailable(f"{name} cannot be measured: {said.removeprefix('error: ')}")

    def _read(self) -> dict[str, _Kept]:
        with suppress(FileNotFoundError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, _Kept])
        return {}

    def _keep(self, name: str, kept: _Kept) -> None:
        all_kept = self._read() | {name: kept}
        part = self._path.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.encode(all_kept))
        part.replace(self._path)
