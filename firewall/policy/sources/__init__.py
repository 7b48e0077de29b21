"""The hosts that package tools of this machine download from: `hosts: {from: [pip, npm]}`.

Each tool is asked for its own effective settings, and for the default it carries where nothing is
set; no default host stands in our own files. Nothing is sent anywhere. What a tool does not know
(a file host that only its index can name) becomes a note that says so. Answers are kept for the
life of the process.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from typing import get_args

from firewall.policy.document import Tool
from firewall.policy.sources.origin import Answer, Origin, SourceError

__all__ = ["Answer", "Origin", "SourceError", "ask_nobody", "forget", "resolve", "seal"]

_sealed = False
_asks = True


def resolve(tools: Iterable[Tool]) -> dict[Tool, Answer | SourceError]:
    """What each tool downloads from, or why it could not say. The tools are asked side by side."""
    wanted = list(dict.fromkeys(tools))
    with ThreadPoolExecutor(max_workers=len(get_args(Tool.__value__))) as pool:
        return dict(zip(wanted, pool.map(_ask, wanted), strict=True))


@cache
def _ask(tool: Tool) -> Answer | SourceError:
    if not _asks:
        return Answer(())
    if _sealed:
        return SourceError(f"{tool} was not asked before the agent started; restart to ask it")
    try:
        return _answer(tool)
    except SourceError as error:
        return error
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        return SourceError(f"{tool}'s settings are not understood: {error!r}")


def _answer(tool: Tool) -> Answer:
    """What the tool's own module finds out. Most policies ask no tool, and import none."""
    found: Answer = import_module(f"{__name__}.{tool}").answer()
    return found


def seal() -> None:
    """Ask no further tool: from now on an agent may have put a program of its own in its place."""
    global _sealed  # noqa: PLW0603 (a fact of the whole process)
    _sealed = True


def ask_nobody() -> None:
    """Run no tool, and take none to name a host: for who passes policies on and judges by none."""
    global _asks  # noqa: PLW0603
    _asks = False
    _ask.cache_clear()


def forget() -> None:
    """Ask the tools again next time."""
    global _sealed, _asks
    _sealed, _asks = False, True
    _ask.cache_clear()
