"""Signed notes as C2SP has them, and nothing that only looks like one."""

import pytest

from firewall.notes import Key, Note, SigningKey, sign

# The example of golang.org/x/mod/sumdb/note's documentation.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)


def test_a_published_note_holds() -> None:
    key = Key.parse(PUBLISHED_KEY)
    assert (key.name, key.id.hex()) == ("PeterNeumann", "c74f20a3")
    assert Note.parse(PUBLISHED).standing(key) == "valid"
    assert Note.parse(PUBLISHED.replace("answer", "Answer")).standing(key) == "invalid"
    other = SigningKey.generate("PeterNeumann").public
    assert Note.parse(PUBLISHED).standing(other) == "missing"


def test_two_keys_sign_one_note() -> None:
    one, two = SigningKey.generate("one"), SigningKey.generate("two")
    note = Note.parse(sign("a\n\nb\n", one, two))
    assert note.text == "a\n\nb\n"
    assert [note.standing(key.public) for key in (one, two)] == ["valid", "valid"]


def test_keys_are_read_back_and_never_shown() -> None:
    key = SigningKey.generate("host/agent-firewall")
    assert SigningKey.parse(key.text()) == key
    assert Key.parse(str(key.public)) == key.public
    assert key.text() not in repr(key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no Ed25519 key"),
        ("name", "no Ed25519 key"),
        (PUBLISHED_KEY.replace("PeterNeumann", "Peter Neumann"), "no Ed25519 key"),
        (PUBLISHED_KEY.replace("c74f20a3", "c74f20a4"), "id does not fit"),
        (PUBLISHED_KEY.replace("+ARpc", "+BRpc"), "no Ed25519 key"),
        (PUBLISHED_KEY + "A", "no Ed25519 key"),
    ],
)
def test_what_is_no_key(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Key.parse(text)


def test_a_damaged_private_key_is_not_shown() -> None:
    text = SigningKey.generate("x").text()
    for damaged in (text[:-3], text.replace("x+", "y+"), "x"):
        with pytest.raises(ValueError, match="private key") as refusal:
            SigningKey.parse(damaged)
        assert text[-40:-4] not in str(refusal.value)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n- name AAAAAAA=\n",
        "text\n\n— name AAAA\n",
        "text\n\n— na me AAAAAAA=\n",
        "text\n\n— name AAAAAAB=\n",
        "text\n\n— name AAAAAAA=",
    ],
)
def test_what_is_no_note(note: str) -> None:
    with pytest.raises(ValueError, match="note"):
        Note.parse(note)
