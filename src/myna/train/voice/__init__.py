"""Nano's voice: the teacher it imitates, the codec it thinks in, how it learns to speak."""
