"""Continuous batching over anything that satisfies `protocols.Decoder`; knows no model and no server."""
