"""Untrusted bytes to arrays, and arrays to sound files: pictures, sounds, clips.

`decoder.Decoder` is the door: it decodes in a child process that can be killed. Behind it, `mel`
and `patches` turn arrays into what the encoders read. Not here: torch, models, networks.
"""
