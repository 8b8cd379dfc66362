"""Nano's language: its words, its tokenizer, the questions it is asked and how it answers."""
