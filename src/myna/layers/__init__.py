"""Blocks that bear no model's name: attention, linear, norm, rope, mixture of experts."""
