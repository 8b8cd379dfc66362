"""The nouns that every room shares: messages, requests, events, errors, the service protocol.

Standard library and msgspec only. Everything here serialises to msgpack, so that a service may live
in another process.
"""
