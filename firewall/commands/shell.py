"""Shell text, before it runs: every simple command it can run."""

from firewall.commands.reading import Reading


def read_shell(text: str, directory: str = "") -> Reading:
    """Read a text for bash or sh that would run in `directory`. Never raises."""
    from firewall.commands.reader import Reader
    from firewall.commands.record import EXCERPT, guarded

    reader = Reader()
    with guarded(reader, text[:EXCERPT]):
        reader.read_text(text, reader.scope(directory), ())
    return reader.reading()
