"""Shell text to commands."""

from firewall.commands import read_shell


def test_what_cannot_be_read_is_opaque() -> None:
    reading = read_shell("ls")
    assert reading.commands == ()
    assert reading.opaque[0].text == "ls"
