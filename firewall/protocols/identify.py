"""Name the protocol of a client's first bytes."""

from firewall.protocols import http1, http2, jsonrpc, openings, socks, ssh, tls
from firewall.protocols.candidates import Recogniser, candidates
from firewall.protocols.identity import MORE, Identity

LIMIT = 64 << 10
"""First bytes that are looked at; what has not decided by then is decided as it stands."""

_RECOGNISERS: tuple[Recogniser, ...] = (
    tls.recognise,
    ssh.recognise,
    socks.recognise,
    http2.recognise,
    openings.recognise,
    jsonrpc.recognise,
    http1.recognise,
)


def identify(data: bytes, *, final: bool = False) -> Identity | None:
    """What a client's first bytes speak; None when more bytes are needed to say.

    With `final` (the client has stopped: a timeout or its end) there is always an answer. Once
    there is one, further bytes do not change it: it rests on the shortest prefix that decides, so
    what follows (a body, a second message) is for `Watch`.
    """
    data = data[:LIMIT]
    for recognise in candidates(_RECOGNISERS, data[0]) if data else ():
        answer = recognise(data)
        if isinstance(answer, Identity):
            return answer
        if answer is MORE and not final and len(data) < LIMIT:
            return None
    if not data:
        return Identity("silent") if final else None
    return http1.recognise_unfinished(data) or Identity("unknown")
