"""One set of phones for all synthesizers: the 39 of the CMU dictionary, and silence."""

from __future__ import annotations

SILENCE = "sil"
_SPOKEN = (
    "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w "
    "y z zh"
)
PHONES = (SILENCE, *_SPOKEN.split())
PHONE_IDS = {phone: i for i, phone in enumerate(PHONES)}

_FROM_IPA = {
    "a": "ae", "æ": "ae", "ɑ": "aa", "ɒ": "aa", "ɐ": "ah", "ʌ": "ah", "ə": "ah", "ᵊ": "ah",
    "ɔ": "ao", "o": "ow", "e": "eh", "ɛ": "eh", "ɜ": "er", "ɚ": "er", "i": "iy", "ɪ": "ih",
    "ᵻ": "ih", "u": "uw", "ʉ": "uw", "ʊ": "uh",
    "A": "ey", "I": "ay", "O": "ow", "Q": "ow", "W": "aw", "Y": "oy",
    "b": "b", "d": "d", "f": "f", "ɡ": "g", "g": "g", "h": "hh", "j": "y", "k": "k", "l": "l",
    "m": "m", "n": "n", "ŋ": "ng", "p": "p", "r": "r", "ɹ": "r", "s": "s", "ʃ": "sh", "t": "t",
    "ɾ": "t", "T": "t", "ʔ": "t", "v": "v", "w": "w", "ʍ": "w", "z": "z", "ʒ": "zh", "ð": "dh",
    "θ": "th", "ʧ": "ch", "ʤ": "jh",
}  # fmt: skip
_PAIRS = {
    "tʃ": "ch", "dʒ": "jh", "aɪ": "ay", "aʊ": "aw", "æʊ": "aw", "eɪ": "ey", "ei": "ey", "əɪ": "ay",
    "ɔɪ": "oy", "oɪ": "oy", "oʊ": "ow", "əʊ": "ow", "əu": "ow", "ʌʊ": "aw", "ʌʉ": "aw",
    "əɹ": "er", "ɛə": "eh", "eə": "eh", "ɑə": "aa", "ɔə": "ao", "oə": "ao", "ʊə": "uh", "iə": "iy",
}  # fmt: skip
_MARKS = str.maketrans("", "", "ːˈˌ̩̪ʰ̃ʲ")
_FROM_FLITE = {"pau": SILENCE, "ax": "ah", "ix": "ih", "axr": "er"}


def from_ipa(symbol: str) -> tuple[str, ...]:
    """Turn a sound in the International Phonetic Alphabet into phones; an empty one is silence.

    Args:
        symbol: as espeak-ng names its phonemes, or one or more letters of misaki's alphabet.

    Raises:
        ValueError: a letter is no sound of English.
    """
    rest = symbol.translate(_MARKS)
    if not rest:
        return (SILENCE,)
    phones = []
    while rest:
        taken = 2 if rest[:2] in _PAIRS else 1
        phone = _PAIRS.get(rest[:2]) or _FROM_IPA.get(rest[0])
        if phone is None:
            raise ValueError(f"{rest[0]!r} in {symbol!r} is no sound of English that is known here")
        phones.append(phone)
        rest = rest[taken:]
    return tuple(phones)


def from_flite(name: str) -> str:
    """Turn flite's name of a phone into ours.

    Raises:
        ValueError: flite has no such phone in English.
    """
    phone = _FROM_FLITE.get(name, name)
    if phone not in PHONE_IDS:
        raise ValueError(f"{name!r} is no phone of flite's English that is known here")
    return phone
