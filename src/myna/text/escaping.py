"""Mark control tokens that stand in a user's text, so that they stay text.

A chat template renders everything into one string, in which a user's "<|im_end|>" looks like the
template's own. Before rendering, a marker is put behind every character of the user's text that
could begin a control token; the rendered string is split at the control tokens that are whole, and
the markers are taken out of what lies between. Unlike placeholders for whole messages, markers
survive templates that strip, split or `tojson` what they are given.

The marker is a noncharacter, which no text may interchange; a text that holds it all the same comes
through unharmed, because it is doubled.
"""

from __future__ import annotations

import re

MARKER = "\ufdd0"
_MARKERS = re.compile(f"{MARKER}+")


def escape(text: str, *, openers: frozenset[str], keep: tuple[str, ...] = ()) -> str:
    """Put a marker behind every one of the `openers`, except where a text of `keep` begins."""
    text = text.replace(MARKER, MARKER * 2)
    if not any(opener in text for opener in openers):
        return text
    kept = "|".join(re.escape(word) for word in keep) or "(?!)"
    opener_set = "".join(re.escape(opener) for opener in sorted(openers))
    return re.sub(
        f"({kept})|[{opener_set}]",
        lambda found: found[0] if found[1] else found[0] + MARKER,
        text,
    )


def unescape(text: str) -> str:
    """Take the markers out again: a lone one goes, a doubled one was the text's own."""
    if MARKER not in text:
        return text
    return _MARKERS.sub(lambda found: MARKER * (len(found[0]) // 2), text)
