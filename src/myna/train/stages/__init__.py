"""The stages of the recipe, in files of their own."""
