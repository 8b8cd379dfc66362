"""One module a command, each with a function `command` whose signature is its options."""
