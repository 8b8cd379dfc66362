"""What to say to an omni model so that it writes down, translates or describes what it is given.

Not here: how the answer is used.
Source: the prompts of Qwen3-Omni's report and cookbooks; the languages it hears, by ISO 639 codes.
"""

from __future__ import annotations

LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "ms": "Malay",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "th": "Thai",
    "tr": "Turkish",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "yue": "Cantonese",
    "zh": "Chinese",
}


def language_name(wish: str) -> str:
    """Name a language that is given by its code or its name."""
    code = wish.strip().lower().split("-")[0]
    return LANGUAGES.get(code, wish.strip().title())


def transcribe_prompt(*, language: str | None = None, context: str | None = None) -> str:
    """Ask for the words of a sound.

    Args:
        language: code or name of what is spoken, if known.
        context: text that helps to understand it, such as names that occur.
    """
    kind = f"{language_name(language)} audio" if language else "audio"
    return f"Transcribe the {kind} into text.{_context(context)}"


def translate_prompt(*, context: str | None = None) -> str:
    """Ask for the words of a sound in English."""
    return (
        "Listen to the provided speech and produce a translation in English text."
        f"{_context(context)}"
    )


def _context(context: str | None) -> str:
    return f" Context: {context.strip()}" if context and context.strip() else ""
