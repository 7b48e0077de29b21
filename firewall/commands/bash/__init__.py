"""Shell text: its grammar, words, expansions and builtins, as bash has them."""
