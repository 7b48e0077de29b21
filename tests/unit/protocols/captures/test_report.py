"""Reports of whole captures."""

import dns.message
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.captures import report_capture, report_stream
from tests.unit.protocols.captures.wire import CLIENT, SERVER, conversation, pcap, pcapng, udp
from tests.unit.protocols.samples import LOGIN, SUBSCRIBE, client_hello, server_name

NOTIFY = b'{"id":null,"method":"mining.notify","params":[]}\n'
RESOLVER = ("10.0.0.53", 53)


def question(name: str, kind: str) -> bytes:
    return udp(CLIENT, RESOLVER, dns.message.make_query(name, kind).to_wire())


def test_flows_are_reported_in_the_order_they_begin() -> None:
    web = ("192.0.2.9", 443)
    packets = [
        *conversation([("sent", SUBSCRIBE), ("received", NOTIFY)], size=11),
        *conversation([("sent", client_hello(server_name(b"a.example")))], server=web),
        question("www.example.com", "A"),
        question("vaaaakardli.t.example.com", "NULL"),
        udp(CLIENT, ("192.0.2.9", 51820), b"\1\0\0\0" + bytes(144)),
        *conversation([("received", b"220 hello\r\n")], server=("192.0.2.9", 25)),
    ]
    for data in (pcap(packets), pcapng(packets)):
        pool, tls, asked, wireguard, silent = report_capture(data)
        assert (pool.client, pool.server, pool.protocol) == (CLIENT, SERVER, "json-rpc")
        assert [each.evidence for each in pool.findings] == [
            "JSON-RPC method mining.subscribe",
            "JSON-RPC method mining.notify",
        ]
        assert [each.where for each in pool.findings] == ["client bytes 0-52", "server bytes 0-47"]
        assert (tls.protocol, tls.sni, tls.findings) == ("tls", "a.example", [])
        assert (asked.protocol, [each.name for each in asked.findings]) == ("dns", ["iodine"])
        assert (wireguard.protocol, wireguard.findings[0].name) == ("wireguard", "wireguard")
        assert (silent.protocol, silent.findings) == ("silent", [])


def test_a_stream_by_itself() -> None:
    report = report_stream(LOGIN, NOTIFY)
    assert (report.client, report.protocol) == (None, "json-rpc")
    assert [each.name for each in report.findings] == ["monero-stratum", "stratum"]


def test_whose_role_is_guessed_is_not_blamed_for_it() -> None:
    """Without the handshake the higher port is taken for the client's, which may be wrong."""
    packets = conversation([("received", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")])
    (whole,) = report_capture(pcap(packets))
    assert [each.name for each in whole.findings] == ["reverse-http"]
    assert [each.findings for each in report_capture(pcap(packets[-1:]))] == [[]]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_raises_on_nothing(sent: bytes, received: bytes) -> None:
    report_stream(sent, received)
    report_capture(pcap([sent, received, udp(CLIENT, RESOLVER, sent)]))
