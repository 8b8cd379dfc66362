"""Models by name: what there is, where it is kept, and how it comes here. No torch."""
