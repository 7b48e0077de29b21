"""What a method and a path ask: of git, a registry, a package index, a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.apis import git_acts, npm_acts, pypi_acts, registry_acts, s3_acts
from firewall.requests import Act

TEXTS = st.lists(st.text(alphabet="abv2./-_@%:", max_size=6) | st.sampled_from(
    ["v2", "blobs", "uploads", "manifests", "tags", "list", "info", "refs", "simple", "-", ""]
), max_size=6)  # fmt: skip
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "x"])


def _cut(path: str) -> tuple[list[str], str]:
    path, _, query = path.partition("?")
    return path.removeprefix("/").split("/"), query


@pytest.mark.parametrize(
    ("method", "path", "acts"),
    [
        ("GET", "/o/r.git/info/refs?service=git-upload-pack", [Act("fetch", "o/r")]),
        ("GET", "/o/r/info/refs?service=git-receive-pack", [Act("push", "o/r")]),
        ("POST", "/o/r.git/git-upload-pack", [Act("fetch", "o/r")]),
        ("POST", "/g/s/r/git-receive-pack", [Act("push", "g/s/r")]),
        ("GET", "/o/r.git/info/refs", []),
        (
            "GET",
            "/o/r.git/info/refs?a&service=git-upload-pack&service=git%2Dreceive-pack",
            [Act("fetch", "o/r"), Act("push", "o/r")],
        ),
        ("GET", "/o/r.git/HEAD", []),
        ("GET", "/git-upload-pack", []),
    ],
)
def test_git(method: str, path: str, acts: list[Act]) -> None:
    assert git_acts(method, *_cut(path)) == tuple(acts)


@pytest.mark.parametrize(
    ("method", "path", "acts"),
    [
        ("GET", "/v2/", [Act("check", "")]),
        ("GET", "/v2/library/busybox/manifests/latest", [Act("pull", "library/busybox")]),
        ("HEAD", "/v2/busybox/blobs/sha256:00", [Act("pull", "busybox")]),
        ("GET", "/v2/a/b/tags/list", [Act("pull", "a/b")]),
        ("GET", "/v2/a/referrers/sha256:00", [Act("pull", "a")]),
        ("POST", "/v2/a/b/blobs/uploads/", [Act("push", "a/b")]),
        ("PATCH", "/v2/a/blobs/uploads/uuid", [Act("push", "a")]),
        ("POST", "/v2/a/blobs/uploads/?mount=x&from=b/c", [Act("push", "a"), Act("pull", "b/c")]),
        ("PUT", "/v2/a/manifests/1", [Act("push", "a")]),
        ("DELETE", "/v2/a/manifests/1", [Act("delete", "a")]),
        ("GET", "/v2/_catalog", []),
        ("GET", "/v2/A/manifests/1", []),
        ("GET", "/v1/a/manifests/1", []),
    ],
)
def test_registries(method: str, path: str, acts: list[Act]) -> None:
    assert registry_acts(method, *_cut(path)) == tuple(acts)


@pytest.mark.parametrize(
    ("method", "path", "acts"),
    [
        ("GET", "/simple/Foo_bar.Baz/", [Act("download", "foo-bar-baz")]),
        ("GET", "/pypi/requests/json", [Act("download", "requests")]),
        ("GET", "/pypi/requests/2.0/json", [Act("download", "requests")]),
        ("GET", "/packages/1/2/foo_bar-1.0-py3-none-any.whl", [Act("download", "foo-bar")]),
        ("GET", "/packages/1/foo-bar-1.0.tar.gz", [Act("download", "foo-bar")]),
        ("POST", "/simple/foo/", [Act("publish", "foo")]),
        ("GET", "/simple/", []),
        ("GET", "/legacy/", []),
    ],
)
def test_python_packages(method: str, path: str, acts: list[Act]) -> None:
    assert pypi_acts(method, *_cut(path)) == tuple(acts)


@pytest.mark.parametrize(
    ("method", "path", "acts"),
    [
        ("GET", "/lodash", [Act("download", "lodash")]),
        ("GET", "/lodash/1.0.0", [Act("download", "lodash")]),
        ("GET", "/lodash/-/lodash-1.0.0.tgz", [Act("download", "lodash")]),
        ("GET", "/@types/node", [Act("download", "@types/node")]),
        ("GET", "/@types/node/-/node-1.0.0.tgz", [Act("download", "@types/node")]),
        ("PUT", "/lodash", [Act("publish", "lodash")]),
        ("GET", "/lodash/-/evil-1.0.0.tgz", []),
        ("GET", "/-/v1/search", []),
        ("GET", "/@types", []),
    ],
)
def test_npm_packages(method: str, path: str, acts: list[Act]) -> None:
    assert npm_acts(method, *_cut(path)) == tuple(acts)


@pytest.mark.parametrize(
    ("method", "host", "path", "acts"),
    [
        ("GET", "s3.example", "/bucket/a/b", [Act("read", "bucket/a/b")]),
        ("PUT", "bucket.s3.example", "/a/b", [Act("write", "bucket/a/b")]),
        ("DELETE", "my.bucket.s3.example", "/a", [Act("delete", "my.bucket/a")]),
        ("GET", "s3.example", "/bucket", [Act("read", "bucket/")]),
        ("POST", "s3.example", "/bucket?a=1&%64elete", [Act("delete", "bucket/")]),
        ("POST", "bucket.s3.example", "/a?uploads", [Act("write", "bucket/a")]),
        ("GET", "s3.example", "/", []),
        ("GET", "evils3.example", "/bucket/a", []),
    ],
)
def test_stores(method: str, host: str, path: str, acts: list[Act]) -> None:
    assert s3_acts(method, host, "s3.example", *_cut(path)) == tuple(acts)


@given(METHODS, TEXTS, st.text(max_size=20))
def test_any_path_is_told_or_not(method: str, segments: list[str], query: str) -> None:
    for read in (git_acts, registry_acts, pypi_acts, npm_acts):
        assert all(act.does for act in read(method, segments, query))
    assert all(act.subject for act in s3_acts(method, "s3.example", "s3.example", segments, query))


@given(METHODS, TEXTS, st.text(max_size=20))
def test_a_push_is_no_pull(method: str, segments: list[str], query: str) -> None:
    """Whatever stands in the path, only a method that reads is a pull, a fetch or a download."""
    acts = registry_acts(method, segments, "")
    assert method in ("GET", "HEAD") or not any(act.does == "pull" for act in acts)
    assert all(
        act.does != "download" or method in ("GET", "HEAD")
        for act in npm_acts(method, segments, query)
    )
