"""A real NATS JetStream with TLS."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import trustme

from tests.waiting import PATIENCE, eventually

TOKEN = "s3cr3t"


class Nats:
    """A nats-server that can be killed and started again on the same port and disk."""

    def __init__(
        self, folder: Path, authorization: str = f'token: "{TOKEN}"', more: str = ""
    ) -> None:
        self.ca = folder / "ca.pem"
        self._config = folder / "nats.conf"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        certificate = authority.issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{folder}/store"}}\n'
            f"authorization {{{authorization}}}\n{more}\n"
            f'tls {{cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem"}}\n'
        )
        self.url = f"nats+tls://localhost:{self.port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [_program(), "-c", str(self._config)], stderr=subprocess.DEVNULL
        )
        eventually(self._answers)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _program() -> str:
    found = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found
    return found
