"""The byte-level alphabet: one printable character for each of the 256 byte values.

Byte-level vocabularies are written in it, so that every token is a line of visible text.
Source: GPT-2 `encoder.py` `bytes_to_unicode`.
"""

from __future__ import annotations

NUM_BYTES = 256


def _alphabet() -> tuple[str, ...]:
    """Keep the printable bytes of Latin-1 as they are; the rest follow above it, in order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)}
    printable |= set(range(ord("®"), ord("ÿ") + 1))
    others = [byte for byte in range(NUM_BYTES) if byte not in printable]
    moved = {byte: chr(NUM_BYTES + position) for position, byte in enumerate(others)}
    return tuple(moved.get(byte, chr(byte)) for byte in range(NUM_BYTES))


ALPHABET = _alphabet()
_BYTE_OF = {character: byte for byte, character in enumerate(ALPHABET)}


def to_bytes(token: str) -> bytes:
    """Read a token written in the alphabet; one that is not stands for its own UTF-8."""
    try:
        return bytes([_BYTE_OF[character] for character in token])
    except KeyError:
        return token.encode()


def from_bytes(raw: bytes) -> str:
    """Write bytes in the alphabet."""
    return "".join([ALPHABET[byte] for byte in raw])
