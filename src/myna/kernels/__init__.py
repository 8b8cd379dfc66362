"""The few hot loops that PyTorch's own ops do not reach, and the packed operand they read.

Each has a pure-torch twin.
"""
