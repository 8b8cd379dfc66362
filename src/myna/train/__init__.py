"""The recipe of the embedded model: data makers, losses, stages, export."""
