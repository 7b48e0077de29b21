"""Each form of a key is told from what only looks like one."""

import base64
import json

import pytest

from firewall.keyformats import ENTROPY, FORMATS, NAMES, SPAN
from firewall.protocols.leaks import Finder, Leak
from tests.unit.leaky import KEYS, checked, private_key

LOOK_ALIKES = {
    "a checksum that fails": "ghp_" + "aB3" * 12,
    "a documented number": "AKIAIOSFODNN7EXAMPLE",
    "a documented pair": "AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    "a digest behind its name": "secret_access_key = " + "0123456789abcdef" * 2 + "01234567",
    "made up": "sk_live_" + "x" * 24,
    "a placeholder": "AIzaplaceholder" + "0123456789abcdef" * 2,
    "a token that renews others": checked("ghr"),
    "the key of every emulator": "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVE"
    "rCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;",
    "a sealed secret": "secretAccessKey: AgBy3i4OJSWKxPiTySYZZA9rO43cGDEqQ2fPiTySYZZA9rO43cGDEq",
    "cut short": "sk-ant-api03-abc",
    "a word of a word": "risk-" + KEYS["anthropic"][3:],
    "an encrypted key": private_key(passphrase=b"hidden"),
    "a public key": "-----BEGIN PUBLIC KEY-----\n" + "MIIBIjANBgkqhkiG" * 8,
    "a key's label": "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
    "no header of a token": "eyJhaaaaaaaaaaaaaaaaaa.eyJzdWIiOiIxMjM0In0",
}


def found(text: str) -> list[Leak]:
    return Finder(each for each in FORMATS if each.name != ENTROPY).find(text.encode())


def test_there_is_a_key_of_every_form() -> None:
    assert set(KEYS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_found_by_its_name(name: str) -> None:
    leaks = found(f'{{"text": "see: {KEYS[name]} now"}}')
    assert name in {each.format.name for each in leaks}
    assert all(len(each.secret) <= SPAN for each in leaks)


PAIR = KEYS["aws"].strip()
SECRET = PAIR.partition(",")[2]
PRIVATE = KEYS["private-key"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("aws", PAIR.replace(",", ":")),
        ("aws", base64.b64encode(PAIR.encode()).decode()),
        ("aws", f"<SecretAccessKey>{SECRET}</SecretAccessKey>"),
        ("aws", f"|  SecretAccessKey|  {SECRET}  |"),
        ("aws", '{"SecretAccessKey": "wJ9\\/aB3cDefGhIjK5mNoPqRsTuVwXyZ0r2345678"}'),
        ("aws", '{"SecretAccessKey": "wJ9\\u002BaB3cDefGhIjK5mNoPqRsTuVwXyZ0r2345678"}'),
        ("private-key", json.dumps(json.dumps(PRIVATE))),
        ("private-key", PRIVATE.replace("\n", "\n            ")),
    ],
    ids=[
        "at the end",
        "at the end of base64",
        "XML",
        "a table",
        "PHP",
        ".NET",
        "JSON in JSON",
        "indented",
    ],
)
def test_what_clients_make_of_a_key_hides_nothing(name: str, text: str) -> None:
    assert name in {each.format.name for each in found(text)}


@pytest.mark.parametrize("text", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_only_looks_like_a_key_is_none(text: str) -> None:
    assert found(f"see: {text} now") == []


def test_entropy_needs_a_name_and_a_random_text() -> None:
    finder = Finder(each for each in FORMATS if each.name == ENTROPY)
    assert finder.find(b'password = "q8Zr2Lx0Vw7Tn5Kd9Hs3Bm"')
    assert not finder.find(b'password = "correct-horse-battery-staple-1"')
    assert not finder.find(b'colour = "q8Zr2Lx0Vw7Tn5Kd9Hs3Bm"')
