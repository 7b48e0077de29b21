"""Where a command listens: `--listen HOST:PORT`, read and opened."""

import socket


def host_and_port(text: str, host: str = "127.0.0.1") -> tuple[str, int]:
    """HOST:PORT, [V6]:PORT or PORT. Raises ValueError that says so."""
    name, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no HOST:PORT; write for example 127.0.0.1:9090")
    return name.strip("[]") or host, int(port)


def listener(host: str, port: int) -> socket.socket:
    """A TCP listener there. Raises OSError that says what to write instead."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=4096)
    except OSError as error:
        raise OSError(
            f"--listen {host}:{port} cannot be served: {error.strerror}; name another, for example"
            f" --listen 127.0.0.1:{port + 1 if port < 65535 else 3129}"
        ) from error
