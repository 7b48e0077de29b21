"""Did you mean...?"""

from collections.abc import Sequence
from difflib import get_close_matches


def closest(text: str, known: Sequence[str]) -> str:
    """What to write instead of `text`: the word that looks most like it, or all there are."""
    matches = get_close_matches(text, known, n=1)
    return f"{matches[0]} (did you mean it?)" if matches else "one of " + ", ".join(known)
