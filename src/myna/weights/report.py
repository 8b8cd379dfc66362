"""What a load did, for logs, for `check` and for people.

Not here: loading (load) and the plan that comes before it (plan).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

NUM_NAMED = 4


@dataclass(frozen=True)
class LoadReport:
    """Tell where every tensor went.

    Attributes:
        checkpoint: the path it came from.
        num_tensors: how many tensors of the checkpoint are used.
        num_parameters: how many numbers the module holds; what several names share counts once.
        num_bytes: bytes of the used tensors in the checkpoint.
        dtypes: how many of the used tensors have which dtype or block format.
        ignored: tensors left out, and why.
        tied: parameters that share the storage of another, and its name.
    """

    checkpoint: str
    num_tensors: int
    num_parameters: int
    num_bytes: int
    dtypes: Mapping[str, int]
    ignored: Mapping[str, str]
    tied: Mapping[str, str]

    def summary(self) -> str:
        """Say it in one line."""
        dtypes = ", ".join(f"{count} {name}" for name, count in self.dtypes.items())
        line = (
            f"{self.num_tensors} tensors ({dtypes}), {self.num_parameters:,} parameters, "
            f"{self.num_bytes / 1e9:.2f} GB"
        )
        for reason, count in Counter(self.ignored.values()).items():
            line += f"; {count} ignored: {reason}"
        return line


def some_names(names: Iterable[str], *, quantity: int | None = None) -> str:
    """Write the first few names, made safe to print; dots stand for the rest.

    Args:
        names: may be endless if `quantity` is given.
        quantity: how many there are.
    """
    remaining = iter(names)
    shown = ", ".join(repr(name) for name in islice(remaining, NUM_NAMED))
    has_more = quantity > NUM_NAMED if quantity is not None else next(remaining, None) is not None
    return shown + (", …" if has_more else "")
