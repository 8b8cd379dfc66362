"""The wire models: JSON as clients send and read it, with the bounds of every field."""
