"""Requests and answers, well-formed and hostile, with what every road must make of them.

Each request goes first on its connection, with `LAST` right behind it in the same segment: what is
smuggled in one would swallow the other, or be served besides it.
"""

from tests.unit.proxy.http.stage import LOGIN
from tests.unit.proxy.lane.origin import CLOSE, CUT, answer

type Asked = tuple[str, str, bytes]

HOST = b"Host: good.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def ask(
    target: bytes = b"/a", *fields: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1"
) -> bytes:
    lines = b"".join(each + b"\r\n" for each in fields)
    return b"%b %b %b\r\n%b%b\r\n" % (method, target, version, HOST, lines)


def post(*fields: bytes, body: bytes = b"body", target: bytes = b"/up") -> bytes:
    return ask(target, *fields, method=b"POST") + body


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


LAST = ask(b"/last", b"Connection: close")
HIDDEN = ask(b"/hidden")
A: Asked = ("GET", "/a", b"")
UP: Asked = ("POST", "/up", b"body")
EMPTY: Asked = ("POST", "/up", b"")

PASSED: dict[str, tuple[bytes, Asked]] = {
    "plain": (ask(b"/a?b=c"), ("GET", "/a?b=c", b"")),
    "head": (ask(method=b"HEAD"), ("HEAD", "/a", b"")),
    "a method in lower case": (ask(method=b"get"), ("get", "/a", b"")),
    "a target in UTF-8": (ask("/ü".encode()), ("GET", "/ü", b"")),
    "a target in no UTF-8": (ask(b"/\xff"), ("GET", "/\udcff", b"")),
    "a value in Latin-1": (ask(b"/a", b"X: \xfc"), A),
    "a blank line before": (b"\r\n" + ask(), A),
    "the host in capitals": (ask().replace(b"good.test", b"GOOD.test."), A),
    "asterisk": (ask(b"*", method=b"OPTIONS"), ("OPTIONS", "*", b"")),
    "absolute form": (ask(b"https://good.test/a"), A),
    "counted body": (post(b"Content-Length: 4"), UP),
    "no body": (post(b"Content-Length: 0", body=b""), EMPTY),
    "a request as a body": (
        ask(b"/a", b"Content-Length: %d" % len(HIDDEN)) + HIDDEN,
        ("GET", "/a", HIDDEN),
    ),
    "chunked body": (chunks(b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"), UP),
    "Chunked": (post(b"Transfer-Encoding:\tChunked ", body=b"0\r\n\r\n"), EMPTY),
    "chunk extensions": (chunks(b'4;a=b;c="d"\r\nbody\r\n0;x\r\n\r\n'), UP),
    "a blank after a chunk's size": (chunks(b"4 \r\nbody\r\n0\r\n\r\n"), UP),
    "zeros before a chunk's size": (chunks(b"00004\r\nbody\r\n0\r\n\r\n"), UP),
    "trailers": (chunks(b"4\r\nbody\r\n0\r\nX: y\r\n\r\n"), UP),
    "trailers that would frame": (
        chunks(b"4\r\nbody\r\n0\r\nContent-Length: 9\r\nHost: evil.test\r\n\r\n"),
        UP,
    ),
    "an underscore is no hyphen": (post(b"Transfer_Encoding: x", b"Content-Length: 4"), UP),
    "h2c": (
        ask(b"/a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: A"),
        A,
    ),
    "another upgrade": (ask(b"/a", b"Connection: Upgrade", b"Upgrade: x/1"), A),
    "fields for one hop": (ask(b"/a", b"Connection: X-Hop, keep-alive", b"X-Hop: 1"), A),
    "TE": (ask(b"/a", b"Connection: TE", b"TE: trailers, gzip"), A),
}
"""Let through, as what the server gets; then `LAST`."""

HOP = (b"upgrade", b"http2-settings", b"x-hop", b"te")
"""Fields that no server gets."""

DENIED = {
    "by its path": ask(b"/denied"),
    "head": ask(b"/denied", method=b"HEAD"),
    "another host": ask().replace(b"good.test", b"evil.test"),
    "another port": ask().replace(b"good.test", b"good.test:1"),
    "two hosts in one": ask().replace(b"good.test", b"good.test, evil.test"),
    "user info": ask().replace(b"good.test", b"good.test@evil.test"),
    "an empty host": ask().replace(b" good.test", b""),
    "absolute form of another": ask(b"https://evil.test/a"),
    "absolute form besides another host": (
        ask(b"https://good.test/a").replace(b"Host: good", b"Host: evil")
    ),
    "absolute form of another port": ask(b"https://good.test:1/a"),
    "absolute form of what is denied": ask(b"https://good.test/denied"),
}
"""Refused with a 403, and nothing of it is sent; then `LAST` passes."""

REFUSED = {
    "CL.TE": post(b"Content-Length: 40", CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
    "TE.CL": post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 4"),
    "one length twice": post(b"Content-Length: 4", b"Content-Length: 4"),
    "a list of lengths": post(b"Content-Length: 4, 4"),
    "a signed length": post(b"Content-Length: +4"),
    "a negative length": post(b"Content-Length: -1"),
    "a hexadecimal length": post(b"Content-Length: 0x4"),
    "a length as Python writes it": post(b"Content-Length: 0_4"),
    "a length with a zero before": post(b"Content-Length: 04"),
    "a length beyond all": post(b"Content-Length: " + b"9" * 30),
    "an empty length": post(b"Content-Length:"),
    "a vertical tab before a length": post(b"Content-Length: \x0b4"),
    "two codings": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "gzip": post(b"Transfer-Encoding: gzip", b"Content-Length: 4"),
    "identity": post(b"Transfer-Encoding: identity", b"Content-Length: 4"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "a quoted coding": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "an empty coding": post(b"Transfer-Encoding:", b"Content-Length: 4"),
    "a vertical tab before a coding": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "a blank before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "a coding behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a coding behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a coding for one hop": post(CHUNKED, b"Connection: Transfer-Encoding", body=b"0\r\n\r\n"),
    "a length for one hop": post(b"Content-Length: 4", b"Connection: content-length"),
    "a host for one hop": ask(b"/a", b"Connection: close, host"),
    "obs-fold": ask(b"/a", b"X: a", b" b"),
    "obs-fold at once": ask().replace(b"Host", b" Host"),
    "bare LF": ask().replace(b"\r", b""),
    "bare LF at the end": ask().replace(b"\r\n\r\n", b"\r\n\n"),
    "no colon": ask(b"/a", b"Xy"),
    "no name": ask(b"/a", b": x"),
    "a zero byte": ask(b"/a", b"X: a\0b"),
    "a control character": ask(b"/a", b"X: a\x01b"),
    "two hosts": ask(b"/a", b"Host: evil.test"),
    "no host": ask().replace(HOST, b""),
    "a backslash for a path": ask(b"\\a"),
    "a fragment": ask(b"/a#b"),
    "an asterisk to get": ask(b"*"),
    "HTTP/1.2": ask(version=b"HTTP/1.2"),
    "absolute form with user info": ask(b"https://good.test@evil.test/a"),
    "absolute form of ftp": ask(b"ftp://good.test/a"),
    "connect": ask(b"evil.test:443", method=b"CONNECT"),
    "blank lines before": b"\r\n\r\n\r\n" + ask(),
    "a coding in HTTP/1.0": ask(b"/a", CHUNKED, method=b"POST", version=b"HTTP/1.0"),
    "a chunk size that is none": chunks(b"zz\r\nbody\r\n0\r\n\r\n"),
    "a negative chunk": chunks(b"-4\r\nbody\r\n0\r\n\r\n"),
    "a signed chunk": chunks(b"+4\r\nbody\r\n0\r\n\r\n"),
    "a chunk in C": chunks(b"0x4\r\nbody\r\n0\r\n\r\n"),
    "a chunk in Python": chunks(b"0_4\r\nbody\r\n0\r\n\r\n"),
    "a chunk that overflows": chunks(b"10000000000000004\r\nbody\r\n0\r\n\r\n"),
    "a chunk without a size": chunks(b"\r\nbody\r\n0\r\n\r\n"),
    "a blank before a chunk's size": chunks(b" 4\r\nbody\r\n0\r\n\r\n"),
    "a chunk behind a bare LF": chunks(b"4\nbody\r\n0\r\n\r\n"),
    "an extension with a bare LF": chunks(b"4;a\nb\r\nbody\r\n0\r\n\r\n"),
    "an extension with a bare CR": chunks(b"4;a\rb\r\nbody\r\n0\r\n\r\n"),
    "a long extension": chunks(b"4;" + b"a" * 5000 + b"\r\nbody\r\n0\r\n\r\n"),
    "a chunk longer than its size": chunks(b"2\r\nbody\r\n0\r\n\r\n"),
    "chunks that end with LF": chunks(b"4\r\nbody\r\n0\n\n"),
    "chunks that end with LF at last": chunks(b"4\r\nbody\r\n0\r\n\n"),
    "a trailer without a colon": chunks(b"4\r\nbody\r\n0\r\nXy\r\n\r\n"),
    "a folded trailer": chunks(b"4\r\nbody\r\n0\r\nX: y\r\n z\r\n\r\n"),
    "a trailer with a bare LF": chunks(b"4\r\nbody\r\n0\r\nX: y\n\r\n"),
    "trailers without end": chunks(b"4\r\nbody\r\n0\r\n" + b"X: y\r\n" * 9000 + b"\r\n"),
}
"""Refused with a 400 and a record of what is wrong; nothing behind it is read."""

UNSPEAKABLE = {
    "no HTTP": b"\x00\x01\x02 hello\n",
    "HTTP/0.9": b"GET /a\r\n",
    "HTTP/2.0": ask(version=b"HTTP/2.0"),
    "a blank in the target": ask(b"/a b"),
    "two blanks": ask().replace(b" /a", b"  /a"),
    "a tab": ask().replace(b" /a", b"\t/a"),
    "a method that is no token": ask(method=b"G(T"),
}
"""No HTTP/1: closed with a record."""

HEAD = b"HTTP/1.1 200 OK\r\n"
HELLO = HEAD + b"Content-Length: 5\r\n\r\nhello"
IN_CHUNKS = HEAD + CHUNKED + b"\r\n\r\n"
END = b"5\r\nhello\r\n0\r\n\r\n"

ANSWERS: dict[str, tuple[bytes, int, bytes]] = {
    "counted": (HELLO, 200, b"hello"),
    "chunked": (IN_CHUNKS + END, 200, b"hello"),
    "chunk extensions": (IN_CHUNKS + b"5;a=b\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "trailers": (IN_CHUNKS + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", 200, b"hello"),
    "a coding for one hop": (HEAD + b"Connection: %b\r\n" % CHUNKED[:17] + IN_CHUNKS[17:] + END,
        200, b"hello"),
    "a close": (HELLO + CLOSE, 200, b"hello"),
    "no reason": (HELLO.replace(b" OK", b""), 200, b"hello"),
    "an odd status": (HELLO.replace(b"200", b"999"), 999, b"hello"),
    "advice": (
        b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + HELLO,
        200, b"hello",
    ),
    "an upgrade that nobody took": (answer(b"hello", b"Upgrade: h2c"), 200, b"hello"),
    "a 204": (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
    "a 204 with a body": (answer(status=b"204 No"), 204, b""),
    "a 304 with a length": (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", 304, b""),
    "a 304 with a body": (answer(status=b"304 No"), 304, b""),
    "more than its length": (HELLO + b"more", 200, b"hello"),
    "two answers": (HELLO + answer(status=b"299 Smuggled"), 200, b"hello"),
    "HTTP/1.0 kept": (answer(b"hello", b"Connection: keep-alive").replace(b"1.1", b"1.0", 1),
        200, b"hello"),
}  # fmt: skip
"""Passed on as this status and content; then the answer to `LAST` is the one that belongs to it."""

BROKEN = {
    "nothing": CLOSE,
    "a reset": CUT,
    "nonsense": b"\x00\xff\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>" + CLOSE,
    "HTTP/2.0": HELLO.replace(b"1.1", b"2.0"),
    "HTTP/1.2": HELLO.replace(b"1.1", b"1.2"),
    "a status of two digits": HELLO.replace(b"200", b"99"),
    "a signed status": HELLO.replace(b"200", b"+200"),
    "a length that is none": HELLO.replace(b": 5", b": x"),
    "a negative length": HELLO.replace(b": 5", b": -5"),
    "two lengths": answer(b"hello", b"Content-Length: 6"),
    "one length twice": answer(b"hello", b"Content-Length: 5"),
    "CL and TE": answer(END, CHUNKED),
    "gzip, chunked": IN_CHUNKS.replace(b": ch", b": gzip, ch") + END,
    "bare LF": HELLO.replace(b"\r", b""),
    "obs-fold": answer(b"hello", b"X: a", b" b"),
    "a bare CR": answer(b"hello", b"X: a\rb"),
    "a zero byte": answer(b"hello", b"X: a\0b"),
    "a blank before the colon": HELLO.replace(b"h:", b"h :"),
    "a blank line before": b"\r\n" + HELLO,
    "a head without end": answer(b"hello", b"X: " + b"a" * 70_000),
    "advice alone": b"HTTP/1.1 103 E\r\n\r\n" + CLOSE,
    "advice without end": b"HTTP/1.1 103 E\r\n\r\n" * 5000 + HELLO,
}
"""Nothing of it reaches the client, who is told so with a 502."""

TORN = {
    "counted, closed": HEAD + b"Content-Length: 50\r\n\r\nhello" + CLOSE,
    "counted, reset": HEAD + b"Content-Length: 50\r\n\r\nhello" + CUT,
    "chunked, closed": IN_CHUNKS + b"5\r\nhello\r\n" + CLOSE,
    "chunked, reset": IN_CHUNKS + b"5\r\nhello\r\n" + CUT,
    "a mistake between chunks": IN_CHUNKS + b"5\r\nhello\r\n-1\r\n",
}
"""Ends too early, and so does what the client gets, which is not given another answer."""

MINING = post(b"Content-Length: %d" % len(LOGIN), body=LOGIN)
