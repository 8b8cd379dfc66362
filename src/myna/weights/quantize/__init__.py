"""Quantize: write a checkpoint anew in fewer bits, block by block and shard by shard."""
