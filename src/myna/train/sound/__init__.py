"""Synthetic voices with exact times, sound events, and what the ears learn from them."""
