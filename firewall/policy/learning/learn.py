"""What an audit log teaches: all that passed, or was denied, because no rule says anything of it.

Not learned are what a guard or a rule refused, what something was found in, and all else that went
to the same host and port then. Everything stands as it was seen; `generalise` widens it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from firewall.policy.learning.ends import End, Ends, found_in
from firewall.policy.learning.learned import Evidence, Learned, Lesson
from firewall.policy.learning.lessons import Place, Section, Unnameable, lessons
from firewall.policy.learning.rules import check
from firewall.policy.recorded import Recorded
from firewall.policy.replay import playable
from firewall.requests import Connect, Execute, Request, ToolCall
from firewall.verdict import Action

_DEFAULTS = frozenset({"default", "shell.default", "tools.default"})
_LENIENT = frozenset({"shell.default", "tools.default", "shell.opaque"})
"""What may allow a thing of which no rule says anything."""
_OUTSIDE = frozenset({"login", "env", "pty"})
"""Keys of SSH that alone let nobody do anything."""

type Connections = dict[Place, Evidence]


def learn(
    records: Iterable[Mapping[str, Any]], *, denied: bool = False, unread: bool = False
) -> Learned:
    """Learn from what passed though no rule allows it; with `denied`, from what was refused.

    A connection over HTTP or SSH says nothing of what is asked for on it, and so is learned only
    through that. With `unread`, TLS connections of which no request was ever seen are learned too,
    to be passed through unread.
    """
    found, ends = Learned(), Ends()
    connections: Connections = {}
    for each in playable(records, found.skipped):
        found.sections |= _sections(each.request)
        ends.note(each)
        if _is_wanted(each, denied=denied):
            _take(found, connections, each)
    _drop_found(found, connections, ends)
    _drop_empty(found)
    _settle(found, connections, ends, unread=unread)
    _drop_wide(found, ends)
    return found


def _sections(request: Request) -> set[Section]:
    match request:
        case Execute():
            return {"shell"}
        case ToolCall():
            return {"tools", "shell"} if request.commands or request.opaque else {"tools"}
    return {"network"}


def _is_wanted(each: Recorded, *, denied: bool) -> bool:
    verdict = each.verdict
    if denied:
        return verdict.action is Action.DENY and verdict.enforced
    if verdict.action is Action.ALLOW:
        return verdict.rule in _LENIENT
    return verdict.allowed


def _take(found: Learned, connections: Connections, each: Recorded) -> None:
    """Learn one request, or say why not."""
    try:
        if why := _why_not(each):
            raise Unnameable(why)
        told = dict.fromkeys(lessons(each.request))
        if isinstance(each.request, Connect) and all(place.kind != "tcp" for place, _ in told):
            for place, _ in told:
                connections.setdefault(place, Evidence(each, each)).add(each)
            return
        for place, item in told:
            if place not in found.places or item not in found.places[place].items:
                check(place, item)
        for place, item in told:
            found.places.setdefault(place, Lesson()).add(item, each)
    except Unnameable as why:
        found.skip(str(why), Evidence(each, each, 1))


def _why_not(each: Recorded) -> str:
    """Why nothing is to be learned from a request; "" where something is."""
    if what := found_in(each):
        return f"something was found in it: {what}"
    if each.verdict.action is Action.ALLOW or each.verdict.rule in _DEFAULTS:
        return ""
    return f"{each.verdict.rule} refuses it, which is no gap in the rules"


def _end(place: Place) -> End:
    return place.name, place.port


def _drop_found(found: Learned, connections: Connections, ends: Ends) -> None:
    """What went where something was found, whatever it was."""
    for place in [each for each in found.places if each.section == "network"]:
        if why := ends.bad.get(_end(place)):
            found.drop(place, why)
    for place in list(connections):
        if why := ends.bad.get(_end(place)):
            found.skip(why, connections.pop(place))


def _drop_empty(found: Learned) -> None:
    """Logins inside which nothing was asked for, and terminals without a shell."""
    for place in [each for each in found.places if each.kind == "ssh"]:
        items = found.places[place].items
        if ("shell", "") not in items and (terminal := items.pop(("pty", ""), None)):
            found.skip("it is a terminal, which only shell: true allows", terminal)
        if all(key in _OUTSIDE for key, _ in items):
            found.drop(place, "nothing was asked for after its login")


def _settle(found: Learned, connections: Connections, ends: Ends, *, unread: bool) -> None:
    """The connections whose own requests were not learned."""
    known = {(place.kind, *_end(place)) for place in found.places}
    for place, evidence in sorted(connections.items()):
        end = _end(place)
        if (place.kind, *end) in known:
            continue
        if not unread or place.kind != "https" or end in ends.read:
            why = "only its connection was seen, which says nothing of its requests"
            found.skip(why, evidence)
        elif end in ends.nameless:
            found.skip("its TLS handshake names no host, so it cannot pass unread", evidence)
        else:
            found.places[place._replace(kind="unread")] = Lesson({(): evidence})


def _drop_wide(found: Learned, ends: Ends) -> None:
    """Streams whose rule would let something else by that goes to the same host and port."""
    kinds = {(place.kind, *_end(place)) for place in found.places}
    for place in [each for each in found.places if each.kind == "tcp"]:
        end = _end(place)
        if end in ends.tls and not kinds & {("https", *end), ("unread", *end)}:
            found.drop(place, "a rule for it would pass TLS to the same port unread")
        elif ("ssh", *end) in kinds:
            found.drop(place, "a rule for it would pass SSH of silent clients unread")
