"""The words that nano hears, reads and says: a few hundred of the commonest of English.

Picture names come on top (`myna.train.pictures.names`). Verbs have a base form and a past: what
he or she does every day is left to larger models.
"""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
ONES = _split("zero one two three four five six seven eight nine")
TEENS = _split("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS = _split("twenty thirty forty fifty sixty seventy eighty ninety")
NUMBERS = (*ONES, *TEENS, *TENS, "hundred", "thousand")
ORDINALS = _split("first second third fourth fifth last")
COLOURS = _split("red orange yellow green blue purple pink brown black white grey")
SHAPES = _split(
    "circle square triangle star heart diamond cross ring rectangle oval pentagon hexagon "
    "crescent arrow"
)
DIRECTIONS = _split("left right up down above below")
DAYS = _split("monday tuesday wednesday thursday friday saturday sunday")
MONTHS = _split(
    "january february march april may june july august september october november december"
)
SOUNDS = _split(
    "beep bell noise piano guitar flute violin trumpet organ drum harp whistle clap siren "
    "click buzz tone chord silence knock"
)

PEOPLE = _split("anna tom maria peter lucy henry emma david sarah paul alice kate")
PRONOUNS = _split("i you he she we they it")
NOUNS = _split(
    """man woman boy girl friend mother father brother sister teacher doctor child baby king queen
    house door window room table chair bed wall floor garden street road bridge city town shop
    school market river lake sea hill mountain tree flower grass sun moon sky rain snow wind fire
    water bread milk tea coffee cake apple egg soup sugar salt hand foot head eye ear nose face arm
    leg dog cat horse bird fish cow sheep mouse car bus train boat ship bike book letter word story
    song game ball box bag cup glass plate knife key lamp clock phone picture paper pen money gift
    hat coat shoe dress shirt day night morning evening week month year hour minute farm field
    forest island beach bank church hotel office kitchen number colour name voice sound question
    answer plan idea"""
)
ADJECTIVES = _split(
    """big small old new good bad long short hot cold warm cool high low fast slow dark light happy
    sad young clean dirty dry wet full empty hard soft loud quiet strong weak rich poor early late
    open closed kind brave busy ready heavy round flat sweet fresh deep narrow wide nice pretty
    tired hungry safe tall thin little quick"""
)
VERBS = _split(
    """see find want like love hear know take give make bring buy sell carry open close hold keep
    lose move need paint pull push read send show start stop follow help leave meet watch wash wear
    write eat drink cook break build call catch clean count cut draw drop fill forget hide hit call
    learn lift miss pass pay play remember ride sing touch turn use visit throw teach"""
)
INTRANSITIVE = _split(
    "walk run sleep sit stand fall wait work sing dance laugh smile swim talk travel speak jump "
    "arrive stay cry"
)
ADVERBS = _split(
    "now today tomorrow yesterday soon often always never again here there slowly quickly quietly "
    "together alone early late well"
)
PREPOSITIONS = _split(
    "in on under behind near with without after before from to at by for of between beside into "
    "over about around through"
)
DETERMINERS = _split("the a an my your his her our their this that every some no")
AUXILIARIES = _split("can will must should did do does is are was were has have had not may")
LINKS = _split("and or but if then because so than as when while")
ASKING = _split("what who where when why how which")

# What questions and answers are phrased with.
TALK = _split(
    """say repeat spell reverse backwards plus minus times divided equals add subtract many much
    letters vowels word words sentence number numbers digit digits bigger smaller larger greater
    less more longer shorter taller comes come came next previous following same different true
    false yes please me tell give it them these those was only taught things pictures sounds speech
    simple english clock oh quarter past half hours minutes hour minute days weeks months between
    until later after ago alphabet alphabetical order largest smallest biggest highest lowest
    missing here hear heard said see seen shown read reads line text written picture pictures image
    photo video clip icon icons background moved moves moving changed happened grew shrank growing
    shrinking turned turning clockwise vanished appeared disappeared gone went still thing object
    objects there colour color colours shape shapes side top bottom middle corner nothing both
    neither none all any each other hello hi hey thanks thank goodbye bye welcome nano am called
    name named made know not chat use model try could would sound instrument music note notes played
    play playing rising falling pitch twice once listen high low higher lower louder transcribe
    write down exactly describe count double half sum difference even odd noon midnight just code
    small help understand pair last first second third fourth fifth sorry french german spanish
    chinese italian make makes take away also time another speak speaking says ask asked gray
    opposite animal us him okay wrong happens rotated spelled"""
)
CAPITALS = _split(
    """What Who Where When Why How Which Is Are Was Does Did Do Can Could Would Please Say Repeat
    Spell Reverse Tell Give Read Name Count Write Listen Hello Hi Hey Thanks Thank The This That I
    If It You My In On Add Describe Transcribe Subtract Look"""
)
IRREGULAR_PLURALS = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "foot": "feet",
    "fish": "fish",
    "sheep": "sheep",
    "mouse": "mice",
    "knife": "knives",
    "grass": "grass",
    "money": "money",
    "shelf": "shelves",
    "leaf": "leaves",
    "tooth": "teeth",
    "goose": "geese",
    "wolf": "wolves",
}
UNCOUNTED = frozenset(
    _split(
        "grass money rain snow wind fire water bread milk tea coffee sugar salt soup sky sun moon "
        "sea paper glass"
    )
)
IRREGULAR_PASTS = {
    "see": "saw",
    "find": "found",
    "hear": "heard",
    "know": "knew",
    "take": "took",
    "give": "gave",
    "make": "made",
    "bring": "brought",
    "buy": "bought",
    "sell": "sold",
    "hold": "held",
    "keep": "kept",
    "lose": "lost",
    "read": "read",
    "send": "sent",
    "leave": "left",
    "meet": "met",
    "wear": "wore",
    "write": "wrote",
    "eat": "ate",
    "drink": "drank",
    "break": "broke",
    "build": "built",
    "catch": "caught",
    "cut": "cut",
    "draw": "drew",
    "forget": "forgot",
    "hide": "hid",
    "hit": "hit",
    "pay": "paid",
    "ride": "rode",
    "sing": "sang",
    "throw": "threw",
    "teach": "taught",
    "run": "ran",
    "sleep": "slept",
    "sit": "sat",
    "stand": "stood",
    "fall": "fell",
    "swim": "swam",
    "speak": "spoke",
    "stop": "stopped",
    "drop": "dropped",
}
_HISSING = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"


def plural(noun: str) -> str:
    """Give the plural of a noun; those that cannot be counted stay as they are."""
    if noun in UNCOUNTED:
        return noun
    head, _, last = noun.rpartition(" ")
    if last in IRREGULAR_PLURALS:
        made = IRREGULAR_PLURALS[last]
    elif last.endswith("y") and last[-2] not in _VOWELS:
        made = f"{last[:-1]}ies"
    else:
        made = f"{last}es" if last.endswith(_HISSING) else f"{last}s"
    return f"{head} {made}".strip()


def past(verb: str) -> str:
    """Give what was done yesterday."""
    if verb in IRREGULAR_PASTS:
        return IRREGULAR_PASTS[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    return f"{verb}ed"


def with_article(name: str) -> str:
    """Put "a" or "an" before a name: by its first letter, which is right for the words here."""
    return f"{'an' if name[0] in _VOWELS and not name.startswith('uni') else 'a'} {name}"


def domain() -> tuple[str, ...]:
    """List every word once, in an order that never changes; picture names are elsewhere."""
    made = (
        *LETTERS,
        *NUMBERS,
        *ORDINALS,
        *COLOURS,
        *SHAPES,
        *(plural(shape) for shape in SHAPES),
        *DIRECTIONS,
        *DAYS,
        *MONTHS,
        *SOUNDS,
        *(plural(sound) for sound in SOUNDS if sound not in ("silence", "noise")),
        *PEOPLE,
        *PRONOUNS,
        *NOUNS,
        *(plural(noun) for noun in NOUNS),
        *ADJECTIVES,
        *VERBS,
        *(past(verb) for verb in (*VERBS, *INTRANSITIVE)),
        *INTRANSITIVE,
        *ADVERBS,
        *PREPOSITIONS,
        *DETERMINERS,
        *AUXILIARIES,
        *LINKS,
        *ASKING,
        *TALK,
    )
    return tuple(dict.fromkeys(word for word in made if word.isalpha()))
