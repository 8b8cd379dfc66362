"""Myna: Qwen's omni models, whole, on the machine you have."""

__version__ = "0.1.0"
