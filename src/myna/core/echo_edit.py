"""The echo of an edit: the first picture comes back as it was, once for each preview and answer.

Not here: all other echoes (echo).
"""

from __future__ import annotations

from collections.abc import Iterator

from myna.core.events import Accepted, EditProgress, Event, Finished, PictureDelta, StepReuse, Usage
from myna.core.requests import EditInput


def echo_edit(asked: EditInput, *, num_choices: int) -> Iterator[Event]:
    """Write down all events of an edit; a picture's size is not looked at, and told as 1 x 1."""
    picture = asked.pictures[0]
    yield Accepted(prompt_tokens=0)
    num_words = len(asked.prompt.split())
    usage = Usage(
        prompt_tokens=num_words + len(asked.pictures),
        completion_tokens=0,
        media_tokens=len(asked.pictures),
    )
    reuse = None
    if asked.step_cache is not None:
        num_steps = asked.num_steps or 1
        reuse = StepReuse(num_reused=0, num_steps=num_steps, max_change=0.0, summed_change=0.0)
    for index in range(num_choices):
        yield EditProgress(index=index, stage="drawing", done=0.0, remaining_s=1.0)
        for preview_idx in range(asked.num_previews):
            yield PictureDelta(
                index=index, data=picture, width=1, height=1, preview_idx=preview_idx
            )
        yield PictureDelta(index=index, data=picture, width=1, height=1, reuse=reuse)
    for index in range(num_choices):
        yield Finished(index=index, reason="stop", usage=usage)
