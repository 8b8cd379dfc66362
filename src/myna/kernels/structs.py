"""The structs that the larger kernels take, laid out as native/kernels.h does.

Not here: what fills them (experts, stack, depth).
"""

from __future__ import annotations

import ctypes

_POINTER, _SIZE, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int32


class Matrix(ctypes.Structure):
    """A matrix of some format; one of no rows stands for none."""

    _fields_ = (
        ("data", _POINTER),
        ("rows", _SIZE),
        ("columns", _SIZE),
        ("format", _SIZE),
        ("is_rounded", _SIZE),
    )


class Network(ctypes.Structure):
    """A gated network."""

    _fields_ = (("gate", Matrix), ("up", Matrix), ("down", Matrix))


class FeedForward(ctypes.Structure):
    """What `feed_forward` is to do."""

    _fields_ = (
        ("x", _POINTER),
        ("networks", _POINTER),
        ("chosen", _POINTER),
        ("shares", _POINTER),
        ("out", _POINTER),
        ("scratch", _POINTER),
        ("n", _SIZE),
        ("num_networks", _SIZE),
        ("num_chosen", _SIZE),
        ("dtype", _INT),
    )


class Block(ctypes.Structure):
    """One block of a decoder."""

    _fields_ = (
        ("input_norm", _POINTER),
        ("qkv", Matrix * 3),
        ("qkv_bias", _POINTER),
        ("q_norm", _POINTER),
        ("k_norm", _POINTER),
        ("attention_out", Matrix),
        ("attention_out_bias", _POINTER),
        ("feed_forward_norm", _POINTER),
        ("router", Matrix),
        ("networks", _POINTER),
        ("shared_network", _POINTER),
        ("shared_gate", Matrix),
        ("keys", _POINTER),
        ("values", _POINTER),
        ("num_chosen", _SIZE),
        ("renormalise", _SIZE),
    )


class DecodeStack(ctypes.Structure):
    """What `decode_stack` is to do."""

    _fields_ = (
        ("x", _POINTER),
        ("blocks", _POINTER),
        ("norm", _POINTER),
        ("cos", _POINTER),
        ("sin", _POINTER),
        ("tables", _POINTER),
        ("lengths", _POINTER),
        ("scratch", _POINTER),
        ("num_blocks", _SIZE),
        ("b", _SIZE),
        ("d", _SIZE),
        ("g", _SIZE),
        ("r", _SIZE),
        ("k", _SIZE),
        ("block_tokens", _SIZE),
        ("table_width", _SIZE),
        ("num_splits", _SIZE),
        ("max_hidden", _SIZE),
        ("max_chosen", _SIZE),
        ("max_experts", _SIZE),
        ("eps", _FLOAT),
        ("scale", _FLOAT),
        ("cache_dtype", _INT),
    )


class DepthDecode(ctypes.Structure):
    """What `depth_decode` is to do."""

    _fields_ = (
        ("step", DecodeStack),
        ("tables", _POINTER),
        ("heads", _POINTER),
        ("norm", _POINTER),
        ("points", _POINTER),
        ("codes", _POINTER),
        ("sums", _POINTER),
        ("num_codes", _SIZE),
        ("top_k", _SIZE),
        ("top_p", _FLOAT),
        ("temperature", _FLOAT),
    )


class Convolve(ctypes.Structure):
    """What `convolve` is to do."""

    _fields_ = (
        ("x", _POINTER),
        ("w", _POINTER),
        ("bias", _POINTER),
        ("alpha", _POINTER),
        ("height", _POINTER),
        ("added", _POINTER),
        ("out", _POINTER),
        ("waved", _POINTER),
        ("x_stride", _SIZE),
        ("waved_stride", _SIZE),
        ("b", _SIZE),
        ("u", _SIZE),
        ("c", _SIZE),
        ("n", _SIZE),
        ("taps", _SIZE),
        ("dilation", _SIZE),
    )


# In the order in which the library tells their sizes.
ALL = (Matrix, Network, FeedForward, Block, DecodeStack, DepthDecode, Convolve)
