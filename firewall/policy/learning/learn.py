"""What an audit log teaches: all that passed, or was denied, because no rule says anything of it.

Not learned are what a guard or a rule refused, what something was found in, and all else that went
to the same host and port then. Everything stands as it was seen; `generalise` widens it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from firewall.policy.learning.learned import Evidence, Learned, Lesson
from firewall.policy.learning.lessons import Place, Section, Unnameable, connection, lessons
from firewall.policy.learning.rules import check
from firewall.policy.learning.seen import PRIVATE, End, Seen, found_in, is_gap, private_address
from firewall.policy.recorded import Recorded
from firewall.policy.replay import playable
from firewall.requests import Connect, Execute, Request, ToolCall
from firewall.verdict import Action

_LENIENT = frozenset({"shell.default", "tools.default", "shell.opaque"})
"""What may allow a thing of which no rule says anything."""
_OUTSIDE = frozenset({"login", "env", "pty"})
"""Keys of SSH that alone let nobody do anything."""


def learn(
    records: Iterable[Mapping[str, Any]],
    *,
    denied: bool = False,
    unread: bool = False,
    private: bool = False,
) -> Learned:
    """Learn from what passed though no rule allows it; with `denied`, from what was refused.

    A connection over HTTP or SSH says nothing of what is asked for on it, and so is learned only
    through that. With `unread`, TLS connections of which no request was ever seen are learned too,
    to be passed through unread; with `private`, what leads to addresses that are not public.
    """
    found, seen = Learned(), Seen()
    connections = Learned(skipped=found.skipped)
    for each in playable(records, found.skipped):
        found.sections |= _sections(each.request)
        seen.note(each)
        if _is_wanted(each, denied=denied):
            _take(found, connections, each, private=private)
    for learned in (found, connections):
        _drop_found(learned, seen)
    _drop_refused(found, seen)
    _drop_empty(found)
    _settle(found, connections, seen, unread=unread)
    _drop_wide(found, seen)
    if denied:  # what was allowed is not learned, and must not be denied by what is
        found.sections = {place.section for place in found.places}
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


def _take(found: Learned, connections: Learned, each: Recorded, *, private: bool) -> None:
    """Learn one request, or say why not."""
    try:
        if why := _why_not(each, private=private):
            raise Unnameable(why)
        if isinstance(each.request, Connect):
            _connected(found, connections, each, each.request)
            return
        told = dict.fromkeys(lessons(each.request))
        for place, item in told:
            if place not in found.places or item not in found.places[place].items:
                check(place, item)
        for place, item in told:
            found.places.setdefault(place, Lesson()).add(item, each)
    except Unnameable as why:
        found.skip(str(why), Evidence(each, each, 1))


def _connected(found: Learned, connections: Learned, each: Recorded, request: Connect) -> None:
    """Of most connections, what is asked for on them tells; a bare stream is all there is to it."""
    place, consent = connection(request), private_address(request)
    check(place._replace(kind="tcp"), (), consent)
    learned = found if place.kind == "tcp" else connections
    lesson = learned.places.setdefault(place, Lesson())
    lesson.add((request.protocol,), each)
    lesson.addresses |= consent


def _why_not(each: Recorded, *, private: bool) -> str:
    """Why nothing is to be learned from a request; "" where something is."""
    if what := found_in(each):
        return f"something was found in it: {what}"
    if private_address(each.request) and each.verdict.rule in ("default", PRIVATE):
        return "" if private else "it leads to an address that is not public; --private learns it"
    rule = each.verdict.rule
    return "" if is_gap(each.verdict) else f"{rule} refuses it, which is no gap in the rules"


def _end(place: Place) -> End:
    return place.name, place.port


def _drop_found(learned: Learned, seen: Seen) -> None:
    """What went where something was found, whatever it was."""
    for place in [each for each in learned.places if each.section == "network"]:
        if why := seen.bad.get(_end(place)):
            learned.drop(place, why)


def _drop_refused(found: Learned, seen: Seen) -> None:
    """What a rule would allow together with something that was refused."""
    for place in seen.refused & found.places.keys():
        found.drop(place, "a rule refuses the same program with the same arguments")
    for place in [each for each in found.places if each.kind in ("ssh", "tcp")]:
        if why := seen.closed.get(_end(place)):
            found.drop(place, why)


def _drop_empty(found: Learned) -> None:
    """Logins inside which nothing was asked for, and terminals without a shell."""
    for place in [each for each in found.places if each.kind == "ssh"]:
        items = found.places[place].items
        if ("shell", "") not in items and (terminal := items.pop(("pty", ""), None)):
            found.skip("it is a terminal, which only shell: true allows", terminal)
        if all(key in _OUTSIDE for key, _ in items):
            found.drop(place, "nothing was asked for after its login")


def _settle(found: Learned, connections: Learned, seen: Seen, *, unread: bool) -> None:
    """Take what connections tell of the places that were learned; of the others, say why not."""
    learned: dict[tuple[str, End], list[Lesson]] = defaultdict(list)
    for place, lesson in found.places.items():
        learned[place.kind, _end(place)].append(lesson)
    for place in sorted(connections.places):
        end = _end(place)
        if several := learned.get((place.kind, end)):
            for lesson in several:
                lesson.addresses |= connections.places[place].addresses
        elif not unread or place.kind != "https" or end in seen.read:
            why = "only its connection was seen, which says nothing of its requests"
            connections.drop(place, why)
        elif end in seen.nameless:
            connections.drop(place, "its TLS handshake names no host, so it cannot pass unread")
        elif refused := seen.closed.get(end):
            connections.drop(place, refused)
        else:
            found.places[place._replace(kind="unread")] = connections.places[place]


def _drop_wide(found: Learned, seen: Seen) -> None:
    """Streams whose rule would let something else by that goes to the same host and port."""
    kinds = {(place.kind, *_end(place)) for place in found.places}
    for place in [each for each in found.places if each.kind == "tcp"]:
        end = _end(place)
        if end in seen.tls and not kinds & {("https", *end), ("unread", *end)}:
            found.drop(place, "a rule for it would pass TLS to the same port unread")
        elif ("ssh", *end) in kinds:
            _leave_silent(found, place)
            found.drop(place, "a rule for it would pass SSH of silent clients unread")


def _leave_silent(found: Learned, stream: Place) -> None:
    """Clients that keep silent are the SSH gateway's, wherever they were led."""
    if found.places[stream].items.pop(("silent",), None) is None:
        return
    for place, lesson in found.places.items():
        if (place.kind, *_end(place)) == ("ssh", *_end(stream)):
            lesson.addresses |= found.places[stream].addresses
