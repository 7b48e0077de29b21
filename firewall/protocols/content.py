"""What a message of HTTP carries, read as sent and without its codings (RFC 9110, 8.4)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from firewall.protocols.marks import MakeReader, Mark

if TYPE_CHECKING:
    from firewall.protocols.codings import Decoder

DECODED = 1 << 20
"""Bytes of one message that are decoded at most; what follows is read as sent only."""


class Content:
    """Reads the content of one message (marks.Reader). `make` makes what reads its bytes, of which
    the first is at `start`; `encoding` is what Content-Encoding says, "" for none."""

    def __init__(self, make: MakeReader, start: int, encoding: str = "") -> None:
        self._sent = make("http body", start)
        self._decoded = make("http body", 0)
        self._decoders = _decoders(encoding)
        self._made = 0

    def read(self, data: bytes, *, end: bool = False) -> list[Mark]:
        marks = self._sent.read(data, end=end)
        for piece in self._pieces(data):
            for mark in self._decoded.read(piece):
                where = f"decoded, {mark.finding.where}"
                marks.append(replace(mark, finding=replace(mark.finding, where=where)))
        return marks

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if not self._decoders or not data:
            return
        from firewall.protocols.codings import DECODE_ERRORS, chain

        try:
            for piece in chain(self._decoders, data):
                self._made += len(piece)
                yield piece
                if self._made > DECODED:
                    break
            else:
                return
        except DECODE_ERRORS:
            pass
        self._decoders = []


def _decoders(encoding: str) -> "list[Decoder]":
    if not encoding:
        return []
    from firewall.protocols.codings import decoders  # 10 ms, which few streams need

    return decoders(encoding)
