"""What training has never seen and cannot import: seeds, templates, a voice, a style, fonts."""
