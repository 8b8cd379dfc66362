"""Speech: text in, frames of codes, sound out, for many voices at once and as it comes."""
