"""Days, months and the clock."""

from __future__ import annotations

import random
from collections.abc import Sequence

from myna.train.language.numbers import in_words
from myna.train.language.skills import Facts, Skill, Slot, Written, number
from myna.train.language.words import DAYS, MONTHS, plural

HOURS = 12
HOUR_MIN = 60


def clock(hour: int, minute: int) -> Written:
    """Write a time of a twelve-hour clock: "7:05", "seven oh five"."""
    if minute == 0:
        return Written(f"{hour}:00", f"{in_words(hour)} o'clock")
    said = f"oh {in_words(minute)}" if minute < 10 else in_words(minute)
    return Written(f"{hour}:{minute:02}", f"{in_words(hour)} {said}")


def later(hour: int, minute: int, added: int) -> Written:
    """Give the time so many minutes later, or earlier where they are negative."""
    total = (hour % HOURS * HOUR_MIN + minute + added) % (HOURS * HOUR_MIN)
    return clock(total // HOUR_MIN or HOURS, total % HOUR_MIN)


def counted(count: int, noun: str) -> str:
    """Say how many of a thing: "one day", "three days"."""
    return f"{in_words(count)} {noun if count == 1 else plural(noun)}"


def _shift(rng: random.Random, names: Sequence[str], by: int) -> Facts:
    place = rng.randrange(len(names))
    return Facts({"name": names[place]}, names[(place + by) % len(names)])


def _day_after(rng: random.Random) -> Facts:
    return _shift(rng, DAYS, 1)


def _day_before(rng: random.Random) -> Facts:
    return _shift(rng, DAYS, -1)


def _month_after(rng: random.Random) -> Facts:
    return _shift(rng, MONTHS, 1)


def _month_before(rng: random.Random) -> Facts:
    return _shift(rng, MONTHS, -1)


def _distant(rng: random.Random, names: Sequence[str], *, is_later: bool) -> Facts:
    place, count = rng.randrange(len(names)), rng.randint(2, 6)
    slots: dict[str, Slot] = {"name": names[place], "count": number(count)}
    return Facts(slots, names[(place + (count if is_later else -count)) % len(names)])


def _days_later(rng: random.Random) -> Facts:
    return _distant(rng, DAYS, is_later=True)


def _days_earlier(rng: random.Random) -> Facts:
    return _distant(rng, DAYS, is_later=False)


def _months_later(rng: random.Random) -> Facts:
    return _distant(rng, MONTHS, is_later=True)


def _days_between(rng: random.Random) -> Facts:
    place, count = rng.randrange(7), rng.randint(1, 6)
    slots = {"first": DAYS[place], "second": DAYS[(place + count) % 7]}
    return Facts(slots, counted(count, "day"))


def _months_between(rng: random.Random) -> Facts:
    place, count = rng.randrange(12), rng.randint(1, 11)
    slots = {"first": MONTHS[place], "second": MONTHS[(place + count) % 12]}
    return Facts(slots, counted(count, "month"))


def _month_number(rng: random.Random) -> Facts:
    place = rng.randrange(12)
    return Facts({"count": number(place + 1)}, MONTHS[place])


def _time(rng: random.Random) -> tuple[int, int]:
    minute = rng.choice((0, 15, 30, 45, rng.randrange(0, 60, 5), rng.randrange(60)))
    return rng.randint(1, HOURS), minute


def _minutes(rng: random.Random) -> int:
    return rng.choice((5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55))


def _clock_later(rng: random.Random) -> Facts:
    hour, minute = _time(rng)
    added = _minutes(rng)
    slots = {"time": clock(hour, minute), "count": number(added)}
    return Facts(slots, later(hour, minute, added).words)


def _clock_earlier(rng: random.Random) -> Facts:
    hour, minute = _time(rng)
    taken = _minutes(rng)
    slots = {"time": clock(hour, minute), "count": number(taken)}
    return Facts(slots, later(hour, minute, -taken).words)


def _hours_later(rng: random.Random) -> Facts:
    hour, minute = _time(rng)
    added = rng.randint(1, 6)
    hours = "hour" if added == 1 else "hours"
    time = clock(hour, minute)
    slots: dict[str, Slot] = {"time": time, "count": number(added), "hours": hours}
    return Facts(slots, later(hour, minute, added * HOUR_MIN).words)


def _half_past(rng: random.Random) -> Facts:
    hour = rng.randint(1, HOURS)
    before = hour - 1 or HOURS
    said, minute = rng.choice((("half past", 30), ("quarter past", 15), ("quarter to", 45)))
    answer = clock(before if minute == 45 else hour, minute).words
    return Facts({"time": f"{said} {in_words(hour)}"}, answer)


SKILLS = (
    Skill(
        "day_after",
        (
            *(
                "what day comes after {name}",
                "which day comes after {name}",
                "the day after {name}",
            ),
            *(
                "what is the day after {name}",
                "what comes after {name}",
                "what day is after {name}",
            ),
            *("today is {name} what day is tomorrow", "which day is next after {name}"),
            *("if today is {name} what is tomorrow",),
        ),
        _day_after,
        weight=0.6,
    ),
    Skill(
        "day_before",
        (
            *("what day comes before {name}", "which day comes before {name}"),
            *("what is the day before {name}", "what comes before {name}", "the day before {name}"),
            *("today is {name} what day was yesterday", "if today is {name} what was yesterday"),
        ),
        _day_before,
        weight=0.6,
    ),
    Skill(
        "month_after",
        (
            *("what month comes after {name}", "which month comes after {name}"),
            *(
                "what is the month after {name}",
                "the month after {name}",
                "what is next after {name}",
            ),
            *("which month is next after {name}", "what comes after {name}"),
        ),
        _month_after,
        weight=0.6,
    ),
    Skill(
        "month_before",
        (
            *("what month comes before {name}", "which month comes before {name}"),
            *("what is the month before {name}", "the month before {name}"),
            *("what comes before {name}", "which month is before {name}"),
        ),
        _month_before,
        weight=0.6,
    ),
    Skill(
        "days_later",
        (
            *("what day is {count} days after {name}", "which day comes {count} days after {name}"),
            *("today is {name} what day is it in {count} days", "{count} days after {name}"),
            *("what is {count} days after {name}", "which day is {count} days after {name}"),
        ),
        _days_later,
        weight=0.8,
    ),
    Skill(
        "days_earlier",
        (
            *("what day is {count} days before {name}", "{count} days before {name}"),
            *("which day comes {count} days before {name}", "what is {count} days before {name}"),
            *("today is {name} what day was it {count} days ago",),
        ),
        _days_earlier,
        weight=0.8,
    ),
    Skill(
        "months_later",
        (
            *("what month is {count} months after {name}", "{count} months after {name}"),
            *("which month comes {count} months after {name}",),
            *("it is {name} what month is it in {count} months",),
        ),
        _months_later,
        weight=0.8,
    ),
    Skill(
        "days_between",
        (
            *("how many days are there from {first} to {second}",),
            *("how many days from {first} to {second}", "count the days from {first} to {second}"),
            *("how many days is it from {first} until {second}", "days from {first} to {second}"),
            *("today is {first} how many days until {second}",),
        ),
        _days_between,
        weight=0.8,
    ),
    Skill(
        "months_between",
        (
            *("how many months are there from {first} to {second}",),
            *("how many months from {first} to {second}", "months from {first} to {second}"),
            *("count the months from {first} to {second}",),
            *("it is {first} how many months until {second}",),
        ),
        _months_between,
        weight=0.8,
    ),
    Skill(
        "month_number",
        ("what is month number {count}", "which month is number {count}", "name month {count}"),
        _month_number,
        weight=0.3,
    ),
    Skill(
        "clock_later",
        (
            *("what time is it {count} minutes after {time}", "{count} minutes after {time}"),
            *("it is {time} what time is it in {count} minutes",),
            *("what is {time} plus {count} minutes", "{time} plus {count} minutes"),
            *("what is {count} minutes after {time}", "now it is {time} add {count} minutes"),
        ),
        _clock_later,
        weight=2.0,
    ),
    Skill(
        "clock_earlier",
        (
            *("what time is it {count} minutes before {time}", "{count} minutes before {time}"),
            *("it is {time} what time was it {count} minutes ago",),
            *("what is {time} minus {count} minutes", "what is {count} minutes before {time}"),
        ),
        _clock_earlier,
        weight=2.0,
    ),
    Skill(
        "hours_later",
        (
            *("what time is it {count} {hours} after {time}", "{count} {hours} after {time}"),
            *("it is {time} what time is it in {count} {hours}",),
            *("what is {time} plus {count} {hours}", "now it is {time} add {count} {hours}"),
        ),
        _hours_later,
        weight=0.8,
    ),
    Skill(
        "half_past",
        (
            *("what time is {time}", "how do you write {time}", "{time} is what time"),
            *("what is {time} on the clock", "it is {time} what time is that"),
        ),
        _half_past,
        weight=0.5,
    ),
)
