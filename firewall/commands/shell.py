"""Shell text, before it runs: every simple command it can run."""

from firewall.commands.bash.scope import Scope
from firewall.commands.reader import Reader
from firewall.commands.reading import Reading
from firewall.commands.record import EXCERPT, ExhaustedError


def read_shell(text: str, directory: str = "") -> Reading:
    """Read a text for bash or sh that would run in `directory`. Never raises."""
    reader = Reader()
    try:
        reader.read_text(text, Scope(directory), ())
    except ExhaustedError:
        reader.hide("it takes too long to read", text[:EXCERPT])
    except Exception as error:  # whatever goes wrong, the text counts as not understood
        reader.hide(f"reading failed: {type(error).__name__}", text[:EXCERPT])
    return reader.reading()
