"""What of marked files must not leave, and what of them everybody may see."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall import marked
from firewall.marked import NOTHING, secrets_in
from tests.unit.leaky import private_key

ENVIRONMENT = """
# DEPLOY_KEY=an-old-one-9981
export API_TOKEN='tok-12345-abc'
DATABASE_URL=postgres://app:s3cret-pass@db.internal:5432/app
HOST=db.internal.example.com
LOG_LEVEL = information and more words
CACHE_DIR=/var/cache/of/the/application
SHORT_KEY=abc
SEED=0x8f2a77c1d4e99b03
password: hunter2hunter2
"""


def texts(content: str) -> list[str]:
    return [text for _, text in secrets_in(content)]


def test_values_that_are_secret_are_taken_and_others_are_not() -> None:
    assert texts(ENVIRONMENT) == [
        "tok-12345-abc",
        "s3cret-pass",
        "0x8f2a77c1d4e99b03",
        "hunter2hunter2",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "AWS_ACCESS_KEY_ID=AKIAQ3EGRIT7ZTE4W2PX",
        "NEXT_PUBLIC_MAPS_KEY=q8Zr2Lx0Vw7Tn5Kd9Hs3Bm",
        "POSTGRES_PASSWORD=postgres",
        "DATABASE_URL=postgres://postgres:postgres@localhost/app",
        "COOKIE_DOMAIN=localhost",
        "AUTH_MODE=keycloak",
        "SSL_KEY_FILE=certs/server.key",
        "TOKEN_TTL=86400000",
        "SECRET_ROTATED=2026-01-01",
        "AUTHOR=Jane Q. Example",
        "MODEL=claude-sonnet-4-20250514",
        "IMAGE=registry/team/app:v1.20.3",
    ],
)
def test_what_ordinary_requests_hold_is_none(line: str) -> None:
    assert texts(line) == []


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("PASSWORD=correct-horse-battery", "correct-horse-battery"),
        ("DB_PASSWORD=9182736455", "9182736455"),
        ("API_KEY=qwmzrtplkvbnxhgdscfa", "qwmzrtplkvbnxhgdscfa"),
        ("AUTH=q8Zr2Lx0", "q8Zr2Lx0"),
        ("INSTANCE=550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
    ],
)
def test_what_only_looks_plain_is_one(line: str, secret: str) -> None:
    assert texts(line) == [secret]


def test_of_a_private_key_lines_of_the_secret_half_are_taken() -> None:
    key = private_key()
    lines = key.splitlines()[1:-1]
    taken = texts(key)
    assert taken
    assert set(taken) <= set(lines[len(lines) // 2 : -1])


def test_json_is_read_by_its_members() -> None:
    account = {
        "type": "service_account",
        "private_key_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "private_key": private_key(),
        "client_email": "robot@project.example.com",
        "token_uri": "https://oauth2.example.com/token",
    }
    found = dict(secrets_in(json.dumps(account)))
    assert found
    assert all(name.startswith("private key 1, part") for name in found)


def test_a_file_that_is_one_secret() -> None:
    assert dict(secrets_in("9f8e7d6c5b4a39281706\n")) == {"line 1": "9f8e7d6c5b4a39281706"}


def test_what_was_there_once_is_looked_for_until_the_end(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A_TOKEN=first-value\n")
    before = NOTHING.read([f"{tmp_path}/.env"])
    file.write_text("A_TOKEN=second-value\n")
    after = before.read([f"{tmp_path}/.env"])
    assert list(after.texts.values()) == ["first-value", "second-value"]
    assert list(after.first.values()) == ["first-value"]
    assert after.stamps != before.stamps
    assert "first-value" not in repr(after)


@pytest.mark.parametrize("kind", ["pipe", "large", "folder"])
def test_what_is_no_file_of_a_fair_size_is_a_trouble(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "marked"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"x" * (marked.SIZE + 1))
    read = NOTHING.read([str(path)])
    assert read.texts == {}
    assert f"the marked file {path} cannot be read: " in read.troubles[0]


def test_files_and_texts_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("".join(f"TOKEN=value-{each:08}\n" for each in range(999)))
    read = NOTHING.read([f"{tmp_path}/many"])
    assert len(read.texts) == marked.VALUES
    assert "more than 256 secrets" in read.troubles[0]


def test_public_halves_are_no_secrets_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "id_rsa.pub").write_text("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ me@here\n")
    read = NOTHING.read([f"{tmp_path}/*", f"{tmp_path}/none"])
    assert read.texts == {}
    assert read.troubles == (
        f"no file is marked by {tmp_path}/* yet",
        f"no file is marked by {tmp_path}/none yet",
    )


@given(st.text(max_size=400))
def test_no_content_makes_it_raise(content: str) -> None:
    assert all(text.isprintable() for _, text in secrets_in(content))
