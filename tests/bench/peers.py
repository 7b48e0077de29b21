"""The proxies that are measured: how each is started, set up to inspect HTTPS to one origin."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.e2e.conftest import FIREWALL
from tests.e2e.servers import free_port

HOST = "origin.test"
CERTGEN = Path("/usr/lib/squid/security_file_certgen")

_POLICY = """
version: 1
name: bench
network:
  names: {{origin.test: 127.0.0.1}}
  rules:
    - {{name: web, allow: https, hosts: [origin.test], ports: [{port}], methods: [GET],
       addresses: [127.0.0.1/32]}}
"""
_CERTIFICATES = "generate-host-certificates=on dynamic_cert_mem_cache_size=16MB"
_SQUID = """
http_port 127.0.0.1:{listen} ssl-bump tls-cert={ca} {certificates}
sslcrtd_program {certgen} -s {folder}/db -M 16MB
sslcrtd_children 2 startup=1 idle=1
ssl_bump bump all
tls_outgoing_options cafile={authority}
http_access allow all
cache deny all
access_log none
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir {folder}
hosts_file {folder}/hosts
max_filedescriptors 16384
workers 1
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
visible_hostname bench
"""
_HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend inspected
  bind 127.0.0.1:{listen} ssl crt {leaf}
  http-request deny unless {{ hdr_beg(host) origin.test }}
  default_backend origin
backend origin
  server one 127.0.0.1:{port} ssl verify required ca-file {authority} {verified}
"""
_MITM = """
def server_connect(data):
    data.server.address = ("127.0.0.1", data.server.address[1])
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy. `explicit` ones are asked by CONNECT; the others are the origin to their clients.
    `authority` is the certificate that its clients must trust."""

    name: str
    command: tuple[str, ...]
    port: int
    authority: Path
    log: Path
    explicit: bool = True
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happens: a folder, the origin's port and authority, and the peers' own authority."""

    folder: Path
    port: int
    authority: Path
    ca: trustme.CA

    @property
    def bundle(self) -> Path:
        """Everything that the load generator trusts."""
        return self.folder / "bundle.pem"

    def write_bundle(self, known: list[Peer]) -> None:
        paths = dict.fromkeys([self.authority, *(each.authority for each in known)])
        self.bundle.write_bytes(b"\n".join(path.read_bytes() for path in paths))

    def room(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o777)
        return folder


def peers(place: Place) -> Iterator[Peer]:
    """Those that can be started here."""
    yield Peer("direct", (), place.port, place.authority, place.folder / "direct.log", False)
    for inspect in ("fast", "depth"):
        yield ours(place, inspect, inspect)
    if shutil.which("squid") and CERTGEN.exists():
        yield _squid(place)
    if shutil.which("haproxy"):
        yield _haproxy(place)
    yield _mitmdump(place)


def ours(place: Place, name: str, inspect: str, *more: str) -> Peer:
    """This firewall, with more options."""
    folder, listen = place.room(name), free_port()
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY.format(port=place.port))
    command = (*FIREWALL, "serve", "--policy", str(policy), "--listen", f"127.0.0.1:{listen}",
               "--inspect", inspect, *more)  # fmt: skip
    state = folder / "state"
    environment = {"FIREWALL_STATE": str(state), "SSL_CERT_FILE": str(place.authority)}
    authority = state / "authority" / "mitmproxy-ca-cert.pem"
    return Peer(name, command, listen, authority, folder / "log", environment=environment)


def _squid(place: Place) -> Peer:
    """As a careful operator would: certificates cached, client-first, connections kept."""
    folder, listen = place.room("squid"), free_port()
    own = folder / "ca.pem"
    own.write_bytes(place.ca.private_key_pem.bytes() + place.ca.cert_pem.bytes())
    (folder / "hosts").write_text(f"127.0.0.1 {HOST}\n")
    subprocess.run(
        [CERTGEN, "-c", "-s", folder / "db", "-M", "16MB"], check=True, capture_output=True
    )
    if os.geteuid() == 0:
        for each in [folder, *folder.rglob("*")]:
            shutil.chown(each, "proxy")
    configuration = folder / "squid.conf"
    configuration.write_text(
        _SQUID.format(listen=listen, ca=own, certgen=CERTGEN, folder=folder,
                      authority=place.authority, certificates=_CERTIFICATES)
    )  # fmt: skip
    return Peer("squid", ("squid", "-N", "-f", str(configuration)), listen, own, folder / "log")


def _haproxy(place: Place) -> Peer:
    """One fixed certificate: it makes none."""
    folder, listen = place.room("haproxy"), free_port()
    leaf, own = folder / "leaf.pem", folder / "ca.pem"
    place.ca.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(leaf)
    place.ca.cert_pem.write_to_path(own)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        _HAPROXY.format(listen=listen, leaf=leaf, port=place.port, authority=place.authority,
                        verified=f"sni str({HOST}) verifyhost {HOST}")
    )  # fmt: skip
    command = ("haproxy", "-db", "-f", str(configuration))
    return Peer("haproxy", command, listen, own, folder / "log", explicit=False)


def _mitmdump(place: Place) -> Peer:
    folder, listen = place.room("mitmdump"), free_port()
    script = folder / "here.py"
    script.write_text(_MITM)
    own = folder / "mitmproxy-ca.pem"
    own.write_bytes(place.ca.private_key_pem.bytes() + place.ca.cert_pem.bytes())
    options = (f"confdir={folder}", f"ssl_verify_upstream_trusted_ca={place.authority}",
               "stream_large_bodies=1m", "flow_detail=0")  # fmt: skip
    settings = [word for each in options for word in ("--set", each)]
    command = (str(Path(sys.executable).with_name("mitmdump")), "-q", "-s", str(script),
               "--listen-host", "127.0.0.1", "--listen-port", str(listen), *settings)  # fmt: skip
    return Peer("mitmdump", command, listen, own, folder / "log")
