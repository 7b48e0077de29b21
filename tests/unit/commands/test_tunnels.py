"""Tunnel tools that only print, and those that open something."""

import pytest

from firewall.commands import inspect_argv, read_shell


@pytest.mark.parametrize("line", ["frpc verify -c f", "gost --version", "sshuttle -h", "lt --help"])
def test_questions_are_honest(line: str) -> None:
    assert inspect_argv(line.split()) == ()


@pytest.mark.parametrize("line", ["frpc -c verify", "gost -L :1 --help", "ptunnel -p h"])
def test_all_else_is_a_tunnel(line: str) -> None:
    assert [each.kind for each in inspect_argv(line.split())] == ["tunnel"]


@pytest.mark.parametrize(
    ("line", "tool"),
    [
        ("docker run --rm -e TOKEN=x ngrok/ngrok:latest http 80", "ngrok"),
        (
            "podman run -d --net host r.example/cf/cloudflared@sha256:0a tunnel run",
            "cloudflared",
        ),
        ("docker run --device /dev/net/tun ghcr.example/tailscale/tailscale", "tailscaled"),
        ("go run -race github.com/jpillora/chisel@latest client https://x R:22", "chisel"),
        ("go run -C /tmp github.com/go-gost/gost/v3@v3.0.0 -L :1080", "gost"),
        ("cargo run -q --release --bin bore -- local 80 --to bore.example", "bore"),
        ("cargo r -p rathole", "rathole"),
        ("npx untun@latest tunnel http://localhost:3000", "untun"),
        ("cf ssh app -L 9000:db.example:5432", "cf"),
        ("gh codespace ports forward 80:80", "gh"),
        ("loclx tunnel http --to localhost:80", "loclx"),
    ],
)
def test_tools_are_known_in_every_box(line: str, tool: str) -> None:
    assert [each.name for each in read_shell(line).findings] == [tool]


@pytest.mark.parametrize(
    "line",
    [
        "docker run --rm -v $PWD:/src golang:1.23 go build ./...",
        "docker run nginx/nginx http 80",
        "docker run ngrok/ngrok version",
        "docker pull ngrok/ngrok",
        "go run . client",
        "go run ./cmd/chisel.go",
        "go run golang.example/x/tools/cmd/goimports@latest -w .",
        "go build -o chisel github.com/jpillora/chisel",
        "cargo run -- local 80",
        "cargo test --bin bore",
        "cf push app",
        "cf ssh app -c 'ls'",
        "gh codespace ports visibility 80:public",
    ],
)
def test_other_uses_of_boxes_are_honest(line: str) -> None:
    assert read_shell(line).findings == ()
