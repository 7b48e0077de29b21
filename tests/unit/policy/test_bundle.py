from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.notes import SigningKey
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.bundle import ANYTHING, TITLE, Trust, read_bundle
from firewall.policy.bundling import bundle
from tests.unit.policy.conftest import Machine

KEY, OTHER = SigningKey.generate("ci.example/policies"), SigningKey.generate("other")
SIGNER = f"{KEY.public.name}+{KEY.public.id.hex()}"
BOTH = f"{KEY.public},{OTHER.public}"
TEAM = """version: 1
name: team
extends: [coding-agent, shared.yaml]
network:
  rules:
    - {name: api, allow: https, hosts: [api.example]}
lists: {mining: [own.txt]}
"""
SHARED = """version: 1
name: shared
network: {rules: [{name: docs, allow: https, hosts: [docs.example]}]}
"""


@pytest.fixture
def team(tmp_path: Path, machine: Machine) -> Path:
    machine.pip({})
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "shared.yaml").write_text(SHARED)
    (tmp_path / "own.txt").write_text("# ours\npool.example.com\n")
    return tmp_path / "team.yaml"


def bundled(
    policy: Path, tmp_path: Path, *, version: int = 7, expires: datetime | None = None
) -> Path:
    path = tmp_path / "elsewhere" / "team.bundle"
    path.parent.mkdir(exist_ok=True)
    path.write_text(bundle(policy, version, expires, [KEY]))
    return path


def trust(keys: str = str(KEY.public), least: str = "") -> Trust:
    return Trust.required({"FIREWALL_POLICY_KEY": keys, "FIREWALL_POLICY_VERSION": least})


def refused(path: Path, trusted: Trust) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(path, trust=trusted)
    (problem,) = caught.value.problems
    return problem.what


def test_a_bundle_decides_as_what_it_was_made_from(team: Path, tmp_path: Path) -> None:
    plain, signed = load_policy(team), load_policy(bundled(team, tmp_path), trust=trust())
    assert signed.digest == plain.digest
    assert {each.source for each in signed.resolved.rules} == {
        each.source for each in plain.resolved.rules
    }
    assert [each.name for each in signed.resolved.lists] == [
        each.name for each in plain.resolved.lists
    ]
    assert (plain.version, signed.version, signed.facts()["signers"]) == (0, 7, SIGNER)


def test_nothing_else_is_read(team: Path, tmp_path: Path) -> None:
    path = bundled(team, tmp_path)
    for each in (team, team.with_name("shared.yaml"), team.with_name("own.txt")):
        each.unlink()
    policy = load_policy(path, trust=trust())
    assert set(policy.files) == {path}
    assert Policy.parse(policy.dump()).digest == policy.digest


def test_a_policy_that_is_wrong_is_not_bundled(team: Path, tmp_path: Path) -> None:
    team.write_text(TEAM + "nonsense: 1\n")
    with pytest.raises(PolicyError, match="unknown key 'nonsense'"):
        bundled(team, tmp_path)


@pytest.mark.parametrize("keys", [str(KEY.public), BOTH], ids=["one", "one of two"])
def test_who_is_trusted(team: Path, tmp_path: Path, keys: str) -> None:
    load_policy(bundled(team, tmp_path), trust=trust(keys, "7"))


def test_a_key_may_be_in_a_file(team: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{KEY.public}\n")
    load_policy(bundled(team, tmp_path), trust=trust(f" {tmp_path / 'key.pub'}"))


def test_another_signer(team: Path, tmp_path: Path) -> None:
    why = refused(bundled(team, tmp_path), trust(str(OTHER.public)))
    other = f"{OTHER.public.name}+{OTHER.public.id.hex()}"
    assert why == f"it is signed by {SIGNER}, not by {other}"


def test_changed_after_it_was_signed(team: Path, tmp_path: Path) -> None:
    path = bundled(team, tmp_path)
    path.write_text(path.read_text().replace("api.example", "evil.example"))
    assert (
        refused(path, trust()) == "the signature does not fit: it was changed after it was signed"
    )


def test_older_than_the_least(team: Path, tmp_path: Path) -> None:
    why = "version 7 is older than 8, the least to be taken"
    assert refused(bundled(team, tmp_path), trust(least="8")) == why
    assert refused(bundled(team, tmp_path), trust().at_least(8)) == why
    load_policy(bundled(team, tmp_path), trust=trust(least="7").at_least(3))


@pytest.mark.parametrize("trusted", [ANYTHING, trust()], ids=["anything", "key"])
def test_expired(team: Path, tmp_path: Path, trusted: Trust) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    why = refused(bundled(team, tmp_path, expires=yesterday), trusted)
    assert why == f"it expired on {yesterday:%Y-%m-%d %H:%M} UTC"
    load_policy(bundled(team, tmp_path, expires=yesterday + timedelta(days=2)), trust=trusted)


def test_no_bundle_where_one_is_asked_for(team: Path) -> None:
    why = "this is no signed bundle, and FIREWALL_POLICY_KEY asks for it"
    assert refused(team, trust()) == why
    assert refused(Path("base"), trust()) == why
    assert refused(team, ANYTHING.at_least(7)) == "this is no signed bundle, and version 7 was one"


def test_the_environment_asks_by_default(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWALL_POLICY_KEY", str(KEY.public))
    with pytest.raises(PolicyError, match="no signed bundle"):
        load_policy(team)
    load_policy(bundled(team, tmp_path))


@pytest.mark.parametrize(
    ("key", "least", "why"),
    [
        ("x+y+z", "", "FIREWALL_POLICY_KEY: .*this is no Ed25519 key"),
        ("/none/such.pub", "", "FIREWALL_POLICY_KEY: .*No such file"),
        (" ,", "", "FIREWALL_POLICY_KEY is set, and names no key"),
        ("", "seven", "FIREWALL_POLICY_VERSION: 'seven' is no version"),
    ],
)
def test_what_is_asked_cannot_be_read(key: str, least: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        trust(key, least)


@given(st.text())
def test_a_damaged_bundle_is_told_and_never_taken(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.bundle"
    path.write_text(f"{TITLE}\n{text}")
    with pytest.raises(PolicyError, match="a damaged bundle"):
        read_bundle(path)


def test_a_fault_inside_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    from firewall.notes import sign
    from firewall.policy.bundle import Contents

    files = [("x.yaml", "version: 1\nname: x\nnonsense: 1\n")]
    contents = Contents(name="x", version=1, created=datetime.now(UTC), files=files)
    path = tmp_path / "x.bundle"
    path.write_text(sign(f"{TITLE}\n{contents.model_dump_json()}\n", KEY))
    with pytest.raises(PolicyError, match=r"x\.bundle\(x\.yaml\):3: unknown key"):
        load_policy(path)


def test_a_bundle_for_some_is_for_no_others(team: Path, tmp_path: Path) -> None:
    path = tmp_path / "team.bundle"
    path.write_text(bundle(team, 7, None, [KEY], ["training", "lab"]))
    asked = {"FIREWALL_POLICY_KEY": str(KEY.public)}
    for group in ("training", "lab", ""):
        trusted = Trust.required({**asked, "FIREWALL_POLICY_AUDIENCE": group})
        assert load_policy(path, trust=trusted).version == 7
    other = Trust.required({**asked, "FIREWALL_POLICY_AUDIENCE": "train"})
    assert refused(path, other) == "it is for training, lab, not for train"
    assert "audience" not in bundled(team, tmp_path).read_text()
    assert refused(bundled(team, tmp_path), other) == "it is for no group, not for train"
    assert refused(team, Trust(group="lab")).endswith("FIREWALL_POLICY_AUDIENCE asks for one")
