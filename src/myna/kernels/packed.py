"""PackedWeight: a matrix kept in its quantized blocks, and the product with it.

Not here: how blocks are read from files (weights) or made (weights.quantize).
"""
