"""Qwen-Image-Edit-2509: a text encoder that sees, a diffusion transformer, and an autoencoder."""
