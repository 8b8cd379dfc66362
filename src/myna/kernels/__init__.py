"""The few hot loops that PyTorch's own ops do not reach, each with a pure-torch twin; and the packed operand they read."""
