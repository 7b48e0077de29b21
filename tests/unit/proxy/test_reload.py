"""A new policy takes force whole or not at all, and never from another folder in its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.notes import SigningKey
from firewall.policy import Policy, load_policy
from firewall.policy.bundling import bundle
from firewall.proxy.loop import Loop
from firewall.proxy.reload import Reload

RULE = (
    "version: 1\nname: t\nnetwork: {{rules: [{{name: {name}, allow: https, hosts: [a.test]}}]}}\n"
)


class Bench:
    def __init__(self, folder: Path, *, watch: bool) -> None:
        self.path = folder / "policy.yaml"
        self.path.write_text(RULE.format(name="first"))
        self.loop = Loop()
        self.taken: list[Policy] = []
        self.failures: list[str] = []
        policy = load_policy(self.path)
        self.reload = Reload(
            self.loop, self.path, policy, self.taken.append, self.failures.append, watch=watch
        )

    def wait(self) -> None:
        self.loop.after(0.1, self.loop.stop)
        self.loop.run()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policy"
    made.mkdir()
    return made


@pytest.fixture
def bench(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("firewall.proxy.reload.LOOK_SECONDS", 0.01)
    made = Bench(folder, watch=True)
    yield made
    made.reload.close()
    made.loop.close()


def test_a_changed_file_takes_force(bench: Bench) -> None:
    bench.path.write_text(RULE.format(name="second"))
    bench.wait()
    (policy,) = bench.taken
    assert "second" in policy.dump()


def test_a_policy_that_could_not_be_put_in_force_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Policy) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(bench.reload, "_replace", fail)
    bench.path.write_text(RULE.format(name="second"))
    bench.wait()
    monkeypatch.setattr(bench.reload, "_replace", bench.taken.append)
    bench.path.touch()
    bench.wait()
    assert len(bench.taken) == 1, "the same policy, once its files are touched"


def test_an_unchanged_policy_is_not_taken_again(bench: Bench) -> None:
    bench.path.write_text(RULE.format(name="first"))
    bench.wait()
    assert bench.taken == []


@pytest.mark.parametrize("text", ["", "version: 2\n", "nonsense", RULE.format(name="[")])
def test_a_bad_policy_leaves_the_old_one_in_force_and_says_so(bench: Bench, text: str) -> None:
    bench.path.write_text(text)
    bench.wait()
    assert bench.taken == []
    (failure,) = bench.failures
    assert failure.startswith("the old policy stays in force: ")
    assert "policy.yaml" in failure


def test_a_missing_file_leaves_the_old_one_in_force(bench: Bench) -> None:
    bench.path.unlink()
    bench.wait()
    assert bench.taken == []
    assert len(bench.failures) == 1


def test_a_folder_in_the_old_ones_place_is_refused(bench: Bench, folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    folder.mkdir()
    bench.path.write_text(RULE.format(name="evil"))
    bench.wait()
    assert bench.taken == []
    assert "is not the folder that the policy was read from" in bench.failures[0]


def test_without_watching_it_loads_only_when_asked(folder: Path) -> None:
    bench = Bench(folder, watch=False)
    bench.path.write_text(RULE.format(name="second"))
    bench.wait()
    assert bench.taken == []
    bench.reload.now()
    assert len(bench.taken) == 1
    bench.reload.close()
    bench.loop.close()


def test_no_bundle_goes_back(folder: Path) -> None:
    key = SigningKey.generate("test")
    source = folder / "source.yaml"

    def bundled(version: int) -> str:
        source.write_text(RULE.format(name=f"v{version}"))
        return bundle(source, version, None, [key])

    path = folder / "policy.bundle"
    path.write_text(bundled(7))
    loop, taken, failures = Loop(), list[int](), list[str]()
    reload = Reload(
        loop, path, load_policy(path), lambda new: taken.append(new.version), failures.append,
        watch=False,
    )  # fmt: skip
    for text in (bundled(9), bundled(8), source.read_text(), bundled(10)):
        path.write_text(text)
        reload.now()
    reload.close()
    loop.close()
    older, plain = failures
    assert taken == [9, 10]
    assert "version 8 is older than 9, the least to be taken" in older
    assert "this is no signed bundle, and version 9 was one" in plain


def test_a_new_version_takes_force_though_it_decides_alike(tmp_path: Path) -> None:
    """Records and the fleet tell which version is in force."""
    source, path = tmp_path / "t.yaml", tmp_path / "policy" / "t.bundle"
    path.parent.mkdir()
    source.write_text(RULE.format(name="first"))
    key, taken = SigningKey.generate("k"), list[int]()
    path.write_text(bundle(source, 1, None, [key]))
    loop, policy = Loop(), load_policy(path)
    reload = Reload(loop, path, policy, lambda new: taken.append(new.version), print, watch=False)
    for version in (1, 2, 2, 3):
        path.write_text(bundle(source, version, None, [key]))
        reload.now()
    assert taken == [2, 3]
    reload.close()
    loop.close()


def test_no_bundle_follows_one_of_another_name(folder: Path) -> None:
    key, source, path = SigningKey.generate("k"), folder / "t.yaml", folder / "policy.bundle"

    def bundled(name: str, version: int) -> str:
        source.write_text(f"version: 1\nname: {name}\n")
        return bundle(source, version, None, [key])

    path.write_text(bundled("strict", 1))
    loop, taken, failures = Loop(), list[str](), list[str]()
    reload = Reload(
        loop, path, load_policy(path), lambda new: taken.append(new.name), failures.append,
        watch=False,
    )  # fmt: skip
    for text in (bundled("lax", 9), bundled("strict", 2)):
        path.write_text(text)
        reload.now()
    reload.close()
    loop.close()
    assert taken == ["strict"]
    assert "it is the policy lax, and strict is in force" in failures[0]
