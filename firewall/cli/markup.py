"""Parts of a page as data: written as HTML into a file, or sent as JSON to a page that is open.

All text of a part goes the same way, so that nothing which an agent wrote becomes markup, breaks a
line or hides: control and format characters are shown as escapes.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from firewall.cli.lines import printable
from firewall.frozen import frozen

LONG = 2_000
"""Characters of one text; a command or a path may be long and still be what matters."""


@frozen
class Element:
    """One element; a child that is text is shown as text, whatever stands in it."""

    tag: str
    attributes: Mapping[str, str]
    children: tuple["Element | str", ...]

    def html(self) -> str:
        """The element as HTML; none of those used here is void."""
        given = "".join(f' {name}="{escape(each)}"' for name, each in self.attributes.items())
        inner = "".join(
            escape(printable(each, LONG)) if isinstance(each, str) else each.html()
            for each in self.children
        )
        return f"<{self.tag}{given}>{inner}</{self.tag}>"

    def tree(self) -> list[Any]:
        """The element as JSON holds it: [tag, {attribute: value}, [child, ...]]."""
        inner = [
            printable(each, LONG) if isinstance(each, str) else each.tree()
            for each in self.children
        ]
        return [self.tag, dict(self.attributes), inner]


def element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """An element; an attribute whose name is a word of Python ends in `_` here."""
    return Element(tag, {name.rstrip("_"): each for name, each in attributes.items()}, children)
