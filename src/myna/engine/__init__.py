"""Continuous batching over any `protocols.Decoder`; knows no model and no server."""
