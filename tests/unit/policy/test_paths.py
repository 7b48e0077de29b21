"""Path globs, and paths that servers could read in two ways."""

from fnmatch import fnmatchcase
from itertools import pairwise
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.policy.errors import Fault
from firewall.policy.paths import LENGTH_LIMIT, PathGlob, clean, oddity, readings

MATCHES = [
    ("/", "/", True),
    ("/a", "/a", True),
    ("/a", "/a/", False),
    ("/a", "/A", False),
    ("/*", "/a", True),
    ("/*", "/", False),
    ("/*", "/a/b", False),
    ("/a*", "/a", True),
    ("/*b*d*", "/abcd", True),
    ("/*b*d*", "/adcb", False),
    ("/a*a", "/a", False),
    ("/*/*/git-upload-pack", "/o/r/git-upload-pack", True),
    ("/*/*/git-upload-pack", "/o//git-upload-pack", False),
    ("/*/*/git-upload-pack", "/o/r/x/git-upload-pack", False),
    ("/**", "/", True),
    ("/**", "/a/b/c", True),
    ("/a/**", "/a", True),
    ("/a/**", "/a/b/c", True),
    ("/a/**", "/ab", False),
    ("/**/z", "/z", True),
    ("/**/z", "/a/b/z", True),
    ("/**/z", "/a/z/b", False),
    ("/a/**/m/n/**/z", "/a/m/m/n/x/z", True),
    ("/a/**/m/n/**/z", "/a/m/x/n/z", False),
    ("/a/**/a", "/a", False),
    ("/a b", "/a%20b", True),
    ("/%", "/x", None),
    ("/é", "/%C3%A9", True),
]


@pytest.mark.parametrize(("glob", "path", "matches"), MATCHES)
def test_glob(glob: str, path: str, matches: bool | None) -> None:
    if matches is None:
        with pytest.raises(Fault, match="has escapes"):
            PathGlob(glob)
        return
    segments = clean(path)
    assert segments is not None
    assert PathGlob(glob).matches(segments) is matches


AMBIGUOUS = [
    "", "a", "*", "//evil\\x", "/a/../b", "/a/./b", "/..", "/.", "/a/..;x/b", "/a%2fb", "/a%2Fb",
    "/a%2e%2e/b", "/%2E", "/a\\b", "/a%5cb", "/a%5Cb", "/a\x00b", "/a%00b", "/a\nb", "/a%0ab",
    "/a%7fb", "/a b", "/a%", "/a%2", "/a%zz", "/a#b", "/%ff", "/\udc80", "/" + "a" * LENGTH_LIMIT,
]  # fmt: skip


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_ambiguous_paths_have_no_meaning(path: str) -> None:
    assert clean(path) is None
    assert oddity(path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("*", "the whole server"),
        ("a", "does not begin with a slash"),
        ("/" + "a" * LENGTH_LIMIT, "longer than"),
        ("/a#b", "#fragment"),
        ("/a/../b", "dot segments"),
    ],
)
def test_what_makes_a_path_ambiguous_is_said(path: str, why: str) -> None:
    assert why in oddity(path)


@pytest.mark.parametrize(
    "path",
    ["/admin/x", "/a/../admin/x", "/%61dmin/x", "/%2561dmin/x", "/a/%2e%2e/admin/x", "//admin//x",
     "/a\\..\\admin\\x", "/admin%2fx", "/./admin/x", "/admin/x/",
     "/admin;v=1/x", "/admin/x;y", "/admin%3bv/x"],
)  # fmt: skip
def test_every_reading_of_a_denied_path_is_found(path: str) -> None:
    assert any(PathGlob("/admin/*").matches(way) for way in readings(path))


def test_a_hostile_path_costs_little() -> None:
    glob = PathGlob("/**/a*a*a*a*b/**/a*a*a*b/**/z")
    segments = ["a" * 60] * 100
    started = thread_time()
    assert not glob.matches([*segments, "z"])
    assert thread_time() - started < 2


@given(
    st.text(alphabet="ab*", min_size=1).filter(lambda t: "**" not in t), st.text("ab", min_size=1)
)
def test_a_segment_matches_as_fnmatch_does(glob: str, segment: str) -> None:
    assert PathGlob("/" + glob).matches([segment]) == fnmatchcase(segment, glob)


def _slow(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return any(_slow(glob[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and (glob[0] in ("*", path[0])) and _slow(glob[1:], path[1:])


SEGMENTS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=8)
GLOBS = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6)


@given(GLOBS.filter(lambda g: ("**", "**") not in set(pairwise(g))), SEGMENTS)
def test_the_matcher_agrees_with_a_backtracking_one(glob: list[str], path: list[str]) -> None:
    assert PathGlob("/" + "/".join(glob)).matches(path) == _slow(glob, path)


@given(st.text())
def test_any_path_can_be_read(path: str) -> None:
    segments = clean(path)
    assert segments is None or all(segment not in (".", "..") for segment in segments)
    assert readings(path)
