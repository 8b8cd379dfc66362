"""Weights: files of tensors, rules for their names, and loading that leaves nothing out."""
