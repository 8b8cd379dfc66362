"""How nano answers: the one style that all makers of questions keep to.

Answers are short lower-case English of at most about twelve words, in the words of
`myna.train.language.words` and picture names, so that every answer can also be spoken.

- Things carry their article: "a red apple", "an owl", "milk", "three cats".
- Numbers are words, without "and": "forty two", "three hundred seven"; below zero: "minus five".
- Times of the clock: "seven thirty", "seven oh five", "seven o'clock".
- Letters stand apart: "a p p l e".
- No punctuation, save for a comma in a list of three or more and the apostrophe of "o'clock".
- A sum is said whole, "forty seven plus eighty five is one hundred thirty two": who listens hears
  what was understood, and the sum stands beside its parts while it is worked out.
- Repeating and transcribing give the words alone. What was read keeps its letters, digits and
  marks as they were written.
- Yes and no stand alone.
- What was not taught is declined in one of the sentences below, and in no other.
"""

from __future__ import annotations

DECLINE = "i was only taught words, numbers, pictures and sounds, to chat use a bigger model"
DECLINE_LANGUAGE = "i was only taught english"
DECLINE_PICTURE = "i was only taught simple pictures"
DECLINE_SOUND = "i was only taught simple sounds"
DECLINES = (DECLINE, DECLINE_LANGUAGE, DECLINE_PICTURE, DECLINE_SOUND)
DECLINE_START = "i was only taught"
YES = "yes"
NO = "no"
