"""The proxies that pass through besides ours: each lets the tunnels of one host by, unread.

Only those that are there take part: Squid (squid-openssl) peeks at the ClientHello's name and
splices, tinyproxy filters by name; sandbox-runtime is an npm package, in the folder that
SANDBOX_RUNTIME names. None of them judges a process or writes a record.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers import CERTGEN, HOST
from tests.e2e.servers import free_port

_SQUID = """
http_port 127.0.0.1:{listen} ssl-bump tls-cert={ca} generate-host-certificates=off
acl first at_step SslBump1
acl known ssl::server_name origin.test
acl asked dstdomain origin.test
ssl_bump peek first
ssl_bump splice known
ssl_bump terminate all
http_access allow asked
http_access deny all
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
_TINYPROXY = """
Port {listen}
Listen 127.0.0.1
Allow 127.0.0.1
MaxClients 4000
Timeout 3600
LogLevel Critical
DisableViaHeader Yes
Filter "{folder}/filter"
FilterDefaultDeny Yes
FilterExtended On
"""
_SANDBOX_RUNTIME = """
const [folder, port] = process.argv.slice(2)
const part = name => import(`${folder}/dist/sandbox/${name}.js`)
const { createHttpProxyServer } = await part('http-proxy')
const { createSocksProxyServer } = await part('socks-proxy')
const { createMuxProxyServer } = await part('mux-proxy')
const { createResolvedAddressGuard } = await part('resolved-address-guard')
const guard = createResolvedAddressGuard({ allowedDomains: ['origin.test', '127.0.0.1'] })
const given = {
  filter: async (_, host) => host === 'origin.test',
  lookupFor: at => (host, options, done) => guard.lookupFor(at)(host, options, done),
}
const httpServer = createHttpProxyServer({ ...given, getMitmSocketPath: () => undefined })
const socks = createSocksProxyServer(given)
const handleSocksConnection = client => socks.handleConnection(client)
const mux = createMuxProxyServer({ httpServer, handleSocksConnection })
await mux.listenHttpBackend()
mux.server.listen(+port, '127.0.0.1')
"""


@dataclass(frozen=True, slots=True)
class Tunneller:
    """A proxy that is asked by CONNECT, and where it listens."""

    name: str
    command: list[str]
    port: int


def tunnellers(folder: Path, authority: bytes) -> Iterator[Tunneller]:
    """Those that can be started here. `authority` is a certificate and its key, which Squid wants
    to have and does not use."""
    if shutil.which("squid") and CERTGEN.exists():
        yield _squid(_room(folder, "squid"), authority)
    if shutil.which("tinyproxy"):
        yield _tinyproxy(_room(folder, "tinyproxy"))
    if package := os.environ.get("SANDBOX_RUNTIME"):
        yield _sandbox_runtime(_room(folder, "sandbox-runtime"), package)


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir()
    (room / "hosts").write_text(f"127.0.0.1 {HOST}\n")
    return room


def _squid(folder: Path, authority: bytes) -> Tunneller:
    listen, own, configuration = free_port(), folder / "ca.pem", folder / "squid.conf"
    own.write_bytes(authority)
    configuration.write_text(_SQUID.format(listen=listen, ca=own, folder=folder))
    if os.geteuid() == 0:
        for each in [folder, *folder.iterdir()]:
            shutil.chown(each, "proxy")
        folder.parent.chmod(0o755)
    return Tunneller("squid", ["squid", "-N", "-f", str(configuration)], listen)


def _tinyproxy(folder: Path) -> Tunneller:
    listen, configuration = free_port(), folder / "tinyproxy.conf"
    (folder / "filter").write_text(rf"^{HOST.replace('.', r'\.')}$" + "\n")
    configuration.write_text(_TINYPROXY.format(listen=listen, folder=folder))
    command = ["tinyproxy", "-d", "-c", str(configuration)]
    return Tunneller("tinyproxy", _knowing(folder / "hosts", command), listen)


def _sandbox_runtime(folder: Path, package: str) -> Tunneller:
    """Its proxies alone, put together as it does itself on Linux."""
    listen, script = free_port(), folder / "proxy.mjs"
    script.write_text(_SANDBOX_RUNTIME)
    command = ["node", str(script), str(Path(package).absolute()), str(listen)]
    return Tunneller("sandbox-rt", _knowing(folder / "hosts", command), listen)


def _knowing(hosts: Path, command: list[str]) -> list[str]:
    """The command, in a mount namespace where the system's table of hosts is this file."""
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
    return [*namespaces, "sh", "-c", script, str(hosts), *command]
