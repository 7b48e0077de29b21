"""Sequences: a rule that holds only after something was done before."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from firewall.deeds import Deed, Did, Past
from firewall.policy.amounts import TimeText, seconds
from firewall.policy.errors import Fault
from firewall.policy.globs import Glob, checked
from firewall.policy.strict import Strict

_HOMES = ("~", "/root", "/home/*", "/Users/*")
"""What "~" may turn out to be, as a text of a shell and as the system sees it."""

_PAST: dict[Did, str] = {
    "download": "downloaded",
    "read": "read",
    "write": "wrote",
    "upload": "sent data to",
    "run": "ran",
}


def _file(text: str) -> str:
    if not text.startswith(("/", "~/", "*")):
        raise Fault(f"the file {text!r} starts nowhere", f'"**/{text}", "~/{text}" or "/{text}"')
    return checked(text)


FileText = Annotated[str, AfterValidator(_file)]


class After(Strict):
    """What must have been done before for the rule to hold.

    `same: file` is: the file that is now run, or that the tool names, is the one it was done to.
    `files` are globs over the file, `within` how long ago at most. What the same request does
    besides counts too: `curl -o x URL && ./x` is one.
    """

    did: Did
    same: Literal["file"] | None = None
    files: list[FileText] | None = Field(default=None, min_length=1)
    within: TimeText | None = None

    @model_validator(mode="after")
    def _of_files(self) -> "After":
        key = "same" if self.same else "files" if self.files else ""
        if self.did == "upload" and key:
            raise Fault(f"an upload is to a host, so {key} cannot hold", "after: {did: upload}")
        return self


class Sequence:
    """A compiled `after`."""

    def __init__(self, after: After) -> None:
        self.did = after.did
        self.same = after.same is not None
        self._globs = [Glob(home) for text in after.files or () for home in _at_home(text)]
        self._within = seconds(after.within) if after.within else None

    def happened(
        self, past: Past, own: Iterable[Deed] = (), files: Iterable[str] = ()
    ) -> Deed | None:
        """The deed that makes it hold, or None. `own` is what the request itself does, `files` what
        it is about."""
        wanted = set(files) if self.same else None
        deeds = (each for each in self._candidates(past, own) if self._fits(each, past.now))
        return next((each for each in deeds if wanted is None or each.object in wanted), None)

    def _candidates(self, past: Past, own: Iterable[Deed]) -> Iterator[Deed]:
        """A request's own run is no sequence: everything runs something."""
        if self.did != "run":
            yield from (
                Deed(each.what, each.object, past.now) for each in own if each.what == self.did
            )
        done = past.deeds.get(self.did, {})
        yield from (Deed(self.did, what, at) for what, at in done.items())

    def _fits(self, deed: Deed, now: float) -> bool:
        recent = self._within is None or now - deed.at <= self._within
        return recent and (
            not self._globs or any(glob.matches(deed.object) for glob in self._globs)
        )


def told(deed: Deed, now: float) -> str:
    """A deed as a reason tells it: "after it read ~/.ssh/id 12 s ago"."""
    ago = f" {now - deed.at:.0f} s ago" if now - deed.at >= 1 else ""
    return f"after it {_PAST[deed.what]} {deed.object or 'something'}{ago}"


def _at_home(text: str) -> list[str]:
    return [home + text[1:] for home in _HOMES] if text.startswith("~/") else [text]
