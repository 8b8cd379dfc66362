"""HTTP in front of a service: the wire forms that OpenAI's clients speak, limits, keys, streams.

It is given a service and never builds one, so nothing here loads a model.
"""
