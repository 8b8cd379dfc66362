"""Weights: files of tensors, the rules that map their names, and the loading that leaves nothing out."""
