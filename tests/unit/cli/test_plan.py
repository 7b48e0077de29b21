"""Options and places: read as people write them, refused in words."""

import errno
from pathlib import Path

import pytest

from firewall.cli import plan
from firewall.policy import Policy, load_policy
from firewall.sandbox import Authority


def _policy(folder: Path) -> Policy:
    folder.mkdir(exist_ok=True)
    path = folder / "policy.yaml"
    path.write_text("version: 1\nname: t\n")
    return load_policy(path)


def test_a_bundle_that_the_user_names_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert plan.upstream_bundle() == str(bundle)


@pytest.mark.parametrize(
    ("name", "why"),
    [("none", "No such file"), (".", "Is a directory"), ("odd", "it holds no certificate")],
)
def test_a_bundle_by_which_nobody_could_be_trusted_is_told(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(ValueError, match=f"SSL_CERT_FILE names .*: {why}"):
        plan.upstream_bundle()


def test_without_any_bundle_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(plan, "bundles_found", tuple)
    with pytest.raises(ValueError, match="install ca-certificates"):
        plan.upstream_bundle()


def test_a_state_that_cannot_be_kept_says_where_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "file"))
    with pytest.raises(
        ValueError, match="name another folder for the firewall's state in FIREWALL_STATE"
    ):
        plan.make_plan(plan.Options("p"), _policy(tmp_path / "p"))


def test_a_state_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does: without a name

    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path))
    monkeypatch.setattr(Authority, "ensure", full)
    with pytest.raises(ValueError, match=f"^{tmp_path} cannot be made: No space left on device; "):
        plan.make_plan(plan.Options("p.yaml"), _policy(tmp_path))


def test_the_state_is_reached_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent could turn a link elsewhere, and have its next records written there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "link"))
    made = plan.make_plan(plan.Options("p", tmp_path / "link" / "log"), _policy(tmp_path / "p"))
    assert made.authority == tmp_path / "real" / "authority"
    assert made.audit == tmp_path / "real" / "log"
