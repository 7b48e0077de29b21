"""The same part of a page as HTML and as JSON; its text stays text in both."""

from firewall.cli.markup import LONG, element


def test_a_part_in_both_forms() -> None:
    part = element("p", "a & b", element("b", "c"), class_="x", id='"y"')
    assert part.html() == '<p class="x" id="&quot;y&quot;">a &amp; b<b>c</b></p>'
    assert part.tree() == ["p", {"class": "x", "id": '"y"'}, ["a & b", ["b", {}, ["c"]]]]


def test_text_stays_on_its_line_and_in_its_bounds() -> None:
    part = element("p", "a\nb\x1b\u202e" + "x" * LONG)
    (text,) = part.tree()[2]
    assert text.startswith("a\\nb\\x1b\\u202ex")
    assert text in part.html()
    assert len(text) < LONG + 20
