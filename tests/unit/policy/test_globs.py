"""Globs, over texts that are known and texts that are not."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.policy.globs import Glob, is_plain

GLOBS = st.text(alphabet="ab*?[]!-", max_size=8)
TEXTS = st.text(alphabet="ab*[]!- ", max_size=8)


@pytest.mark.parametrize(
    ("glob", "pieces", "may"),
    [
        ("push *", ["push ", ""], True),
        ("push *", ["", ""], True),
        ("push *", ["pull", ""], False),
        ("* --force", ["push", "--force"], True),
        ("* --force", ["push", "--tags"], False),
        ("a?c", ["a", ""], True),
        ("a?c", ["a", "b"], False),
        ("[xy]z", ["x", ""], True),
        ("[xy]z", ["q", ""], False),
        ("", ["a", ""], False),
    ],
)
def test_unknown_pieces_may_be_anything(glob: str, pieces: list[str], may: bool) -> None:
    assert Glob(glob).may_match(pieces) == may


@given(GLOBS, TEXTS)
def test_a_known_text_matches_one_way_or_the_other(glob: str, text: str) -> None:
    assert Glob(glob).may_match([text]) == Glob(glob).matches(text)


@given(GLOBS, TEXTS, TEXTS, TEXTS)
def test_what_matches_may_match_with_any_part_unknown(
    glob: str, before: str, hidden: str, after: str
) -> None:
    compiled = Glob(glob)
    if compiled.matches(before + hidden + after):
        assert compiled.may_match([before, after])


def test_a_hostile_text_costs_little() -> None:
    glob = Glob("*a*a*a*a*a*a*a*a*b")
    started = perf_counter()
    assert not glob.matches("a" * 100_000)
    assert not glob.may_match(["a" * 50_000, "a" * 50_000])
    assert perf_counter() - started < 3


def test_what_is_plain() -> None:
    assert is_plain("git")
    assert not any(map(is_plain, ("g*", "g?", "[g]")))
