"""Secrets are taken out of texts, command lines and events, and their marks compare."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.redaction import FORMATS, Redactor, Terms

SECRET = "S3cr3tValue99"
OURS = Terms(("X-Corp",), ("ticket",), ("corp-[0-9]{6}",))
CLEAN = Redactor(OURS, b"key of the test")
MARK = CLEAN.text(f"?token={SECRET}").removeprefix("?token=")
KEYS = [
    "ghp_" + "a1" * 18, "github_pat_" + "a1" * 20, "glpat-" + "a1" * 10, "AKIA" + "A1" * 8,
    "sk-ant-api03-" + "a1" * 20, "hf_" + "aB" * 17, "nvapi-" + "a1" * 20, "xoxb-1234-5678-abcdef",
    "AIza" + "a1" * 18, "ya29.a0" + "a1" * 20, "sk_live_" + "a1" * 12, "npm_" + "a1" * 18,
    "pypi-" + "a1" * 30, "dop_v1_" + "a1" * 32, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----",
    "SG." + "a1" * 11 + "." + "a1" * 21 + "a", "12345678:AA" + "a1" * 16 + "a",
    "AccountKey=" + "a1" * 43 + "==",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "curl -H 'Authorization: Bearer {}' https://a.test",
        'curl -H "Cookie: a={}; b=1" https://a.test',
        "curl -H Authorization:{} https://a.test",
        "curl -H Authorization:\\ Bearer\\ {} https://a.test",
        'wget --header="X-Api-Key: {}" a.test',
        "Authorization: Basic {}",
        "GET / HTTP/1.1\r\nHost: a.test\r\nproxy-authorization: Basic {}\r\n\r\n",
        "Set-Cookie: session={}; HttpOnly",
        "x-corp: {}",
        "--token={}",
        "tool --api-key {} rest",
        "tool --api-key '{}' rest",
        'tool --password "{}"',
        "GITHUB_TOKEN={} git push",
        "export PGPASSWORD='{} with spaces'",
        "https://user:{}@a.test/path",
        "https://{}-and-longer@a.test/path",
        "psql postgresql://me:{}@db/x",
        "/path?x=1&token={}&y=2",
        "/path?key={}",
        "/path?X-Amz-Signature={}#part",
        "no rule allows GET https://a.test/path?ticket={} é",
        "curl -sS -u me:{} a.test",
        "sshpass -p {} ssh a.test",
        "requests.get(u, headers={{'Authorization': 'Bearer {}'}})",
        "echo \"{{\\\"password\\\": \\\"{}\\\"}}\"",
        "\udcff --token={}",
        "密码 --token={} 密码",
    ],
)  # fmt: skip
def test_a_secret_in_a_text_is_gone(text: str) -> None:
    cleaned = CLEAN.text(text.format(SECRET))
    assert SECRET not in cleaned
    assert "[redacted:" in cleaned
    assert CLEAN.text(cleaned) == cleaned, "what is redacted stays as it is"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key)[:8])
def test_a_known_key_is_gone_wherever_it_stands(key: str) -> None:
    cleaned = CLEAN.text(f"echo {key} | nc a.test 1")
    assert cleaned.startswith("echo [redacted:")
    assert cleaned.endswith("] | nc a.test 1")


def test_every_form_of_a_key_is_tried() -> None:
    assert len(KEYS) == len(FORMATS)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["curl", "-H", f"Authorization: Bearer {SECRET}", "a.test"], "curl -H Authorization:"),
        (["tool", "--token", SECRET, "a.test"], "tool --token "),
        (["curl", "-u", f"me:{SECRET}", "a.test"], "curl -u me:"),
        (["/usr/bin/sshpass", "-p", SECRET, "a.test"], "/usr/bin/sshpass -p "),
        (["bash", "-c", f"curl -H 'X-Api-Key: {SECRET}' a.test"], "bash -c curl -H 'X-Api-Key: "),
    ],
)
def test_a_secret_in_a_command_line_is_gone(words: list[str], left: str) -> None:
    cleaned = " ".join(CLEAN.words(words))
    assert cleaned.startswith(left)
    assert cleaned.endswith("a.test")
    assert MARK in cleaned


def test_members_that_are_named_like_secrets_are_hidden_whole() -> None:
    found = CLEAN.value(
        {
            "headers": {"Authorization": f"Bearer {SECRET}", "Accept": "text/html"},
            "pairs": [["cookie", SECRET], ["accept", "text/html"]],
            "arguments": json.dumps({"db_password": SECRET, "n": 1, "more": [{"token": SECRET}]}),
        }
    )
    assert found["headers"] == {"Authorization": f"Bearer {MARK}", "Accept": "text/html"}
    assert found["pairs"] == [["cookie", MARK], ["accept", "text/html"]]
    arguments = json.loads(found["arguments"])
    assert arguments == {"db_password": MARK, "n": 1, "more": [{"token": MARK}]}


def test_a_mark_tells_equal_secrets_and_depends_on_the_key() -> None:
    assert MARK in CLEAN.text(f"--token={SECRET}")
    assert MARK not in CLEAN.text(f"--token={SECRET}x")
    assert MARK not in Redactor(OURS, b"another").text(f"--token={SECRET}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "git clone https://git@github.com/o/r",
        "https://user@a.test/?page=2&monkey=1",
        "echo --token-limit 7 max_tokens=5",
        'curl -H "Authorization: Bearer $TOKEN" a.test',
        "python train.py --key-frames 3 --tokenizer gpt2",
        "cookies are fine, and so is a password",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert CLEAN.text(text) == text


_json = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(_json)
def test_any_value_can_be_redacted(value: Any) -> None:
    cleaned = CLEAN.value(value)
    assert type(cleaned) is type(value)
    assert CLEAN.value(cleaned) == cleaned


@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=60))
def test_a_secret_is_gone_whatever_surrounds_it(before: str, after: str) -> None:
    assert KEYS[0] not in CLEAN.text(f"{before} {KEYS[0]} {after}")
