"""Who may do what, and a file that says it wrongly."""

import grp
import pwd
from pathlib import Path

import pytest

from firewall.node.config import NodeConfig, Peer, load_config, may, may_to_any
from firewall.policy import PolicyError

TEXT = """
version: 1
policies: {coding: /etc/coding.yaml, training: rl-training}
grants:
  - {users: ["1000"], do: [attach, status], policies: [coding]}
  - {groups: ["50"], do: [release], of: anyone}
  - {users: [daemon], groups: [daemon], do: [create]}
"""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    path = tmp_path / "node.yaml"
    path.write_text(TEXT)
    return load_config(path)


@pytest.mark.parametrize(
    ("peer", "deed", "policy", "owner", "allowed"),
    [
        (Peer(1, 0, frozenset()), "create", "training", 5, True),
        (Peer(1, 1000, frozenset()), "attach", "coding", 1000, True),
        (Peer(1, 1000, frozenset()), "attach", "coding", 0, False),
        (Peer(1, 1000, frozenset()), "attach", "training", 1000, False),
        (Peer(1, 1000, frozenset()), "release", "coding", 1000, False),
        (Peer(1, 7, frozenset({50})), "release", "training", 3, True),
        (Peer(1, 7, frozenset({51})), "release", "training", 7, False),
        (Peer(1, 7, frozenset()), "attach", "coding", 7, False),
    ],
)
def test_only_what_is_granted_is_allowed(
    config: NodeConfig, peer: Peer, deed: str, policy: str, owner: int, allowed: bool
) -> None:
    assert may(config, peer, deed, policy, owner) is allowed


def test_nobody_is_looked_up_once_the_file_is_loaded(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(pwd, "getpwnam", asked)
    monkeypatch.setattr(grp, "getgrnam", asked)
    assert may(config, Peer(1, 1, frozenset()), "create", "coding", 1)
    assert may(config, Peer(1, 7, frozenset({1})), "create", "coding", 7)


def test_who_may_do_nothing_is_told_before_anything_is_looked_for(config: NodeConfig) -> None:
    assert may_to_any(config, Peer(1, 1000, frozenset()), "attach", "coding")
    assert not may_to_any(config, Peer(1, 1000, frozenset()), "attach", "training")
    assert not may_to_any(config, Peer(1, 7, frozenset()), "attach", "coding")


def test_a_wrong_file_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("version: 1\npolicies: {a: b}\ngrants:\n  - {users: [x], do: [fly]}\n")
    with pytest.raises(PolicyError, match=r"node\.yaml:4"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("grants:\n  - {do: [attach]}\n", r"node\.yaml:4: the grant names nobody; write: users"),
        (
            "grants:\n  - {users: [root], do: [attach], policies: [b]}\n",
            r"node\.yaml:4: there is no policy 'b'; write: a",
        ),
        (
            "grants:\n  - {users: [root, no-such-user], groups: [no-such-group], do: [attach]}\n",
            r"node\.yaml:4: this machine knows no user 'no-such-user'; write: a known name",
        ),
        ("socket: node.sock\n", r"node\.yaml:3: the socket 'node.sock' is no whole path"),
    ],
)
def test_what_would_never_work_is_told(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(f"version: 1\npolicies: {{a: base}}\n{text}")
    with pytest.raises(PolicyError, match=what):
        load_config(path)
