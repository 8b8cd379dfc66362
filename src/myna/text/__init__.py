"""Text in and out of a model: tokens, chat templates, and what the answer's text means.

Bytes and ids only: no torch, no network, no knowledge of any model family.
"""
