"""What a node takes into the place of its bundle, and what it leaves there."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firewall.fleet.bundlefile import BundleFile
from firewall.notes import sign
from firewall.policy import PolicyError, load_policy, sources
from firewall.policy.bundle import TITLE
from firewall.policy.sources import npm
from tests.unit.fleet.conftest import KEY, OTHER, TRUST, Bundled

PLACE = "firewall.policy.training"


@pytest.fixture
def file(tmp_path: Path) -> BundleFile:
    return BundleFile(tmp_path / "policy.bundle", TRUST)


def refused(file: BundleFile, data: bytes) -> str:
    """Why; nothing but the bundle that was there is left."""
    before = file.path.read_bytes() if file.path.exists() else b""
    with pytest.raises(PolicyError) as caught:
        file.take(data, PLACE)
    assert (file.path.read_bytes() if file.path.exists() else b"") == before
    assert not list(file.path.parent.glob(".*.new"))
    return str(caught.value)


def test_a_newer_one_takes_the_place(file: BundleFile, bundled: Bundled) -> None:
    assert file.standing() is None
    for version in (1, 7):
        data = bundled(version)
        assert file.take(data, PLACE).contents.version == version
        assert file.holds(data)
        assert load_policy(file.path, trust=TRUST).version == version
    assert stat.S_IMODE(file.path.stat().st_mode) & 0o444 == 0o444


def test_what_is_refused(file: BundleFile, bundled: Bundled) -> None:
    file.take(bundled(7), PLACE)
    past = datetime(2020, 1, 2, tzinfo=UTC)
    broken = bundled(9, more="# x\n").replace(b"# x", b"rul")
    assert "version 6 is older than 7" in refused(file, bundled(6))
    assert "another version 7 than the one" in refused(file, bundled(7, more="# other\n"))
    assert "signed by other" in refused(file, bundled(9, key=OTHER))
    assert "it is for lab, not for training" in refused(file, bundled(9, audience=("lab",)))
    assert "it is for no group, not for training" in refused(file, bundled(9, audience=()))
    assert "the policy other, and coding is here" in refused(file, bundled(9, name="other"))
    assert "it expired on 2020-01-02" in refused(file, bundled(9, expires=past))
    assert "the signature does not fit" in refused(file, broken)
    assert refused(file, b"").startswith(f"{PLACE}:1: this is no signed bundle")


def test_a_broken_policy_is_refused_though_it_is_signed(file: BundleFile, bundled: Bundled) -> None:
    text = bundled(9, more="# own line\n").decode().partition("\n\n")[0] + "\n"
    broken = sign(text.replace("# own line", "rules: [1]"), KEY).encode()
    assert f"{PLACE}(source.yaml):" in refused(file, broken)


def test_what_cannot_be_a_bundle_is_refused(file: BundleFile) -> None:
    note = sign(f'{TITLE}\n{{"name": "coding", "version": 1e9}}\n', KEY).encode()
    assert "a damaged bundle" in refused(file, note)
    assert "a damaged bundle" in refused(file, f"{TITLE}\n".encode() + b"\xff" * 100)
    deep = sign(f"{TITLE}\n{'[' * 100_000}\n", KEY).encode()
    assert "a damaged bundle" in refused(file, deep)


def test_what_no_key_of_ours_signed_is_no_memory(file: BundleFile, bundled: Bundled) -> None:
    """A bundle that somebody put there, or that is another group's, keeps none of ours out."""
    for there in (bundled(99, key=OTHER), bundled(99, audience=("lab",)), b"damaged"):
        file.path.write_bytes(there)
        assert file.take(bundled(7), PLACE).contents.version == 7


def test_one_that_has_expired_still_tells_how_far_we_were(
    file: BundleFile, bundled: Bundled
) -> None:
    file.path.write_bytes(bundled(8, expires=datetime(2020, 1, 2, tzinfo=UTC)))
    assert "older than 8" in refused(file, bundled(7))


def test_a_least_version_holds_for_a_new_machine(tmp_path: Path, bundled: Bundled) -> None:
    file = BundleFile(tmp_path / "new.bundle", TRUST.at_least(8))
    assert "version 7 is older than 8" in refused(file, bundled(7))


def test_no_tool_of_the_machine_is_asked(
    file: BundleFile, bundled: Bundled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> None:
        raise AssertionError("npm was asked")

    monkeypatch.setattr(npm, "answer", asked)
    sources.ask_nobody()
    more = "network: {rules: [{name: p, allow: https, hosts: {from: [npm]}}]}\n"
    assert file.take(bundled(9, more=more), PLACE).contents.version == 9


def test_a_full_disk_leaves_what_is_there(
    file: BundleFile, bundled: Bundled, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.take(bundled(7), PLACE)
    before = file.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("firewall.fleet.bundlefile.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.take(bundled(8), PLACE)
    assert file.path.read_bytes() == before
    assert not list(file.path.parent.glob(".*.new"))
