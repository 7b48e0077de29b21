"""What stands in a request's head is told by its place, and not where it is at home."""

import base64
from dataclasses import replace

import pytest

from firewall.credentials import KEYS_ALONE, Watched
from firewall.keyformats import NAMES
from firewall.marked import Marked
from firewall.requests import Finding, Resolve, SshChannel
from firewall.vault import Vault
from tests.unit.leaky import KEYS

VALUE = "mArk3d-Value-77120"
WATCHED = replace(KEYS_ALONE, homes={"gitlab": ("*.corp.test",)})
VAULT = Vault(watched=WATCHED, marked=Marked({"/w/.env (line 1)": VALUE}, {}))
TOKEN = KEYS["github"]
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
HOMES = [
    ("api.github.com", "authorization", f"Bearer {TOKEN}"),
    ("github.com", "Authorization", f"Basic {BASIC}"),
    ("api.anthropic.com", "x-api-key", KEYS["anthropic"]),
    ("git.corp.test", "private-token", KEYS["gitlab"]),
    ("git.corp.test", "deploy-token", KEYS["gitlab"]),
    ("nuget.pkg.github.com", "x-nuget-apikey", TOKEN),
    ("hf.co", "authorization", f"Bearer {KEYS['huggingface']}"),
    ("me-app.hf.space", "x-hf-authorization", f"Bearer {KEYS['huggingface']}"),
    ("generativelanguage.googleapis.com", "authorization", f"Bearer {KEYS['google']}"),
    ("mcp.stripe.com", "authorization", f"Bearer {KEYS['stripe']}"),
    ("anywhere.test", "authorization", f"Bearer {KEYS['jwt']}"),
    ("anywhere.test", "cookie", f"session={KEYS['jwt']}"),
    ("s3.test", "authorization", f"AWS4-HMAC-SHA256 Credential={KEYS['aws-key-id']}/20260101/eu"),
]


def told(host: str, path: str, *fields: tuple[str, str]) -> list[tuple[str, str]]:
    found = VAULT.leaving(host, path, [(name.encode(), text.encode()) for name, text in fields])
    assert TOKEN not in str(found)
    return [(each.name, each.where) for each in found]


@pytest.mark.parametrize(("host", "header", "text"), HOMES)
def test_a_key_may_stand_where_it_is_at_home(host: str, header: str, text: str) -> None:
    assert told(host, "/", (header, text)) == []


def test_paths_and_queries_are_homes_as_well() -> None:
    assert told("api.telegram.org", f"/bot{KEYS['telegram']}/getMe") == []
    assert told("maps.googleapis.com", f"/x?key={KEYS['google']}") == []
    assert told("gitlab.com", f"/api/v4/projects?private_token={KEYS['gitlab']}") == []
    assert told("oauth2.googleapis.com", f"/revoke?token={KEYS['google-oauth']}") == []
    assert told("s3.test", f"/x?x-amz-credential={KEYS['aws-key-id']}%2F20260101") == []


@pytest.mark.parametrize(
    ("host", "path", "header", "place"),
    [
        ("github.com.evil.test", "/", "authorization", "header authorization"),
        ("notgithub.com", "/", "authorization", "header authorization"),
        ("api.github.com", "/", "X-Note", "header x-note"),
        ("api.github.com", f"/gists?text={TOKEN}", "accept", "query text"),
        ("api.github.com", f"/x/{TOKEN}", "accept", "path"),
        ("api.github.com", f"/?{TOKEN}=1", "accept", "query name"),
        ("", "/", "authorization", "header authorization"),
    ],
)
def test_anywhere_else_it_is_told_by_its_place(
    host: str, path: str, header: str, place: str
) -> None:
    text = "*/*" if TOKEN in path else TOKEN
    assert told(host, path, (header, text)) == [("github", place)]


def test_texts_of_marked_files_have_no_home() -> None:
    assert told("api.github.com", "/", ("authorization", f"Bearer {VALUE}")) == [
        ("marked-file", "header authorization")
    ]


def test_ssh_and_names_are_looked_at() -> None:
    ssh = VAULT.seen(SshChannel("a.test", 22, "me", "exec", f"echo {TOKEN}"))
    assert [(each.name, each.where) for each in ssh.findings] == [("github", "SSH exec")]
    label = base64.b32encode(VALUE.encode()).decode().rstrip("=").lower()
    name = VAULT.seen(Resolve(f"{label}.a.test", "A"))
    assert [(each.name, each.where) for each in name.findings] == [("marked-file", "DNS name")]


def test_streams_tell_what_is_sent_only() -> None:
    sent = VAULT.stream("http body", "sent").feed(f"a={TOKEN}&b={VALUE}".encode())
    assert sent == (
        Finding("secret", "marked-file", "what stands in /w/.env (line 1)", "http body, sent"),
        Finding(
            "secret", "github", "a GitHub token whose checksum holds", "http body, sent, byte 2"
        ),
    )
    assert VAULT.stream("http body", "received").feed(TOKEN.encode()) == ()


def test_what_a_vault_looks_for_survives_the_way_to_another_process() -> None:
    again = Vault.parse(VAULT.dump())
    fields = [(b"x", f"{TOKEN} {VALUE} {KEYS['gitlab']}".encode())]
    assert again.leaving("git.corp.test", "/", fields) == VAULT.leaving(
        "git.corp.test", "/", fields
    )


def test_formats_that_are_not_wanted_are_not_looked_for() -> None:
    vault = Vault(watched=Watched(formats=tuple(set(NAMES) - {"github"})))
    assert vault.leaving("a.test", f"/{TOKEN}", []) == ()
