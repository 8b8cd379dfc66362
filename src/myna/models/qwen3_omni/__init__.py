"""Qwen3-Omni: reads text, hears, sees, watches, and speaks."""
