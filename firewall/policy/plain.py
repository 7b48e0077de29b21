"""Reasons as people may be shown them."""

_LIMIT = 1000
"""Characters of a reason; names and paths come from clients and can be long."""


def plain(text: str) -> str:
    """Text for people's terminals and pages: what a client sent must not move the cursor there."""
    if text.isprintable() and len(text) <= _LIMIT:
        return text
    return text[:_LIMIT].encode("unicode_escape").decode()
