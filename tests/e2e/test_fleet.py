"""A fleet over a real NATS JetStream, with the permissions of docs/fleet.md: whoever is killed, the
newest signed policy comes into force, and nothing else does."""

import asyncio
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firewall.audit import AuditLog, Key, keys, read
from firewall.audit.cursor import Cursor
from firewall.audit.ingest import Receiver
from firewall.audit.ship import NotTakenError, Settings, Shipper, open_sink
from firewall.audit.ship.stream import connect
from firewall.fleet.census import census
from firewall.fleet.follower import State
from firewall.fleet.overview import Asked, Node, Offer
from firewall.fleet.publishing import checked, publish
from firewall.fleet.records import of_folder
from firewall.fleet.reporter import Reporter
from firewall.fleet.wire import (
    connected,
    jetstream,
    make_streams,
    offered,
    policy_subject,
    report_subject,
)
from firewall.notes import SigningKey
from firewall.policy import PolicyError
from firewall.policy.bundle import Trust
from firewall.policy.bundling import bundle
from tests.e2e.conftest import FIREWALL, Workplace, needs
from tests.e2e.nats import Nats
from tests.e2e.serving import serve
from tests.waiting import PATIENCE, eventually

pytestmark = needs("nats-server")

DOCS = Path(__file__).parents[2] / "docs" / "fleet.md"
KEY, OTHER = SigningKey.generate("policies"), SigningKey.generate("policies")
TRUST = Trust((KEY.public,), group="training")
POLICY = "version: 1\nname: coding\nextends: [base]\n"
RULE = "network: {rules: [{name: v%d, allow: https, hosts: [h.example]}]}\n"


class Fleet(Nats):
    """The server, as its users reach it."""

    def __init__(self, folder: Path) -> None:
        (users,) = re.findall(r"^```\n(users: .*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
        intruder = (
            'user: intruder, password: "$INTRUDER", permissions: {publish: "firewall.policy.>"}'
        )
        text = users.rstrip().removesuffix("]") + f"{{{intruder}}}\n]\n"
        super().__init__(folder, re.sub(r'"\$([A-Z0-9]+)"', r"\1", text), "max_payload: 64KB")
        self.settings = Settings("", ca=self.ca)

    def by(self, user: str) -> str:
        name = user.upper().replace("-", "")
        return self.url.replace("//", f"//{user}:{name}@")

    def publish(self, path: Path, instead_of: str = "") -> bool:
        work = publish(self.by("operator"), self.settings, checked(path, TRUST), TRUST, instead_of)
        return asyncio.run(work)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`firewall fleet`, as the operator runs it."""
        return subprocess.run(
            [*FIREWALL, "fleet", *words, "--to", self.by("operator"), "--ca", str(self.ca)],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def put(self, data: bytes) -> None:
        """Publish whatever it is, as who may publish and cannot sign."""
        asyncio.run(self._send("intruder", policy_subject("training"), data))

    def report(self, data: bytes) -> None:
        asyncio.run(self._send("gpu-17", report_subject("training", "gpu-17"), data))

    async def _send(self, user: str, subject: str, data: bytes) -> None:
        async with connected(self.by(user), self.settings) as client:
            await client.publish(subject, data)
            await client.flush()

    async def make_streams(self) -> None:
        async with connected(self.by("operator"), self.settings) as client:
            await make_streams(jetstream(client))

    def look(
        self, pinned: dict[str, Key] | None = None, ingested: Path | None = None
    ) -> tuple[list[Offer], list[Node]]:
        asked = Asked(datetime.now(UTC), TRUST, pinned, timedelta(seconds=60))
        tells = of_folder(ingested, asked.now) if ingested else None
        return asyncio.run(census(self.by("operator"), self.settings, asked, tells))

    def gates(self) -> list[int]:
        """The versions that the one node's gates judge by."""
        nodes = self.look()[1]
        return [gate.version for node in nodes if node.report for gate in node.report.gates]

    def troubles(self) -> str:
        return "\n".join(why for node in self.look()[1] for why in node.troubles)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    folder = tmp_path / "nats"
    folder.mkdir()
    server = Fleet(folder)
    yield server
    server.kill()


def bundled(
    folder: Path,
    version: int,
    *,
    group: str = "training",
    key: SigningKey = KEY,
    name: str = "coding",
) -> Path:
    """A bundle of a policy with a rule of its own."""
    source = folder / "source.yaml"
    source.write_text(POLICY.replace("coding", name) + RULE % version)
    path = folder / f"{name}-{version}-{group}.bundle"
    path.write_text(bundle(source, version, None, [key], [group]))
    return path


@contextmanager
def follow(fleet: Fleet, workplace: Workplace, into: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--group", "training", "--source", "gpu-17", "--ca", str(fleet.ca)]
    process = subprocess.Popen(
        [*FIREWALL, "fleet", "follow", "--to", fleet.by("gpu-17"), "--into", str(into), *options],
        env={**workplace.environment, "FIREWALL_POLICY_KEY": str(KEY.public)},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def test_whoever_is_killed_the_newest_policy_comes_into_force(
    fleet: Fleet, workplace: Workplace, tmp_path: Path
) -> None:
    into = workplace.folder / "policy" / "policy.bundle"
    into.parent.mkdir()
    into.write_bytes(bundled(tmp_path, 1).read_bytes())
    workplace.environment["FIREWALL_POLICY_KEY"] = str(KEY.public)
    fleet.kill()
    with serve(workplace, into):
        with follow(fleet, workplace, into) as follower:
            fleet.start()
            assert fleet.publish(bundled(tmp_path, 2))
            eventually(lambda: fleet.gates() == [2])
            fleet.kill()
            fleet.start()
            assert fleet.publish(bundled(tmp_path, 3))
            eventually(lambda: fleet.gates() == [3])
            follower.kill()
        assert fleet.publish(bundled(tmp_path, 4))
        with follow(fleet, workplace, into):
            eventually(lambda: fleet.gates() == [4])
            pinned = keys.load(workplace.folder / "state/authority").public
            offers, nodes = fleet.look({"gpu-17": pinned})
            assert [each.version for each in offers] == [4]
            assert [(each.source, each.troubles) for each in nodes] == [("gpu-17", [])]
            (node,) = fleet.look({"gpu-17": OTHER.public})[1]
            assert node.troubles == ["its pinned key has not signed its report"]
    records = [each for each in read(workplace.log) if each["kind"] == "fleet.taken"]
    assert [each["version"] for each in records] == [2, 3, 4]


def test_who_can_publish_and_cannot_sign_is_refused(
    fleet: Fleet, workplace: Workplace, tmp_path: Path
) -> None:
    into = workplace.folder / "policy.bundle"
    seventh = bundled(tmp_path, 7)
    good = seventh.read_bytes()
    fleet.publish(seventh)
    attempts = {
        b"nonsense": "this is no signed bundle",
        good.replace(b"h.example", b"e.example"): "the signature does not fit",
        bundled(tmp_path, 6).read_bytes(): "version 6 is older than 7",
        bundled(tmp_path, 9, group="lab").read_bytes(): "it is for lab, not for training",
        bundled(tmp_path, 9, key=OTHER).read_bytes(): "it is signed by policies",
        bundled(
            tmp_path, 9, name="other"
        ).read_bytes(): "it is the policy other, and coding is here",
    }
    with follow(fleet, workplace, into):
        eventually(lambda: into.exists() and into.read_bytes() == good)
        for data, why in attempts.items():
            fleet.put(data)
            eventually(lambda why=why: why in fleet.troubles())  # type: ignore[misc]
            assert into.read_bytes() == good
        eighth = bundled(tmp_path, 8)
        with pytest.raises(PolicyError, match="training has the policy other, not coding"):
            fleet.publish(eighth)
        assert fleet.publish(eighth, instead_of="other")
        eventually(lambda: into.read_bytes() == eighth.read_bytes())
        eventually(lambda: fleet.troubles() == "")
    refused = [each["why"] for each in read(workplace.log) if each["kind"] == "fleet.refused"]
    assert all(any(why in each for each in refused) for why in attempts.values())


def test_publishers_come_one_after_the_other(fleet: Fleet, tmp_path: Path) -> None:
    paths = [bundled(tmp_path, version) for version in range(1, 9)]

    async def work() -> list[bool | BaseException]:
        offers = [checked(path, TRUST) for path in paths]
        url = fleet.by("operator")
        return await asyncio.gather(
            *(publish(url, fleet.settings, each, TRUST) for each in offers), return_exceptions=True
        )

    results = asyncio.run(work())
    assert results[-1] is True, "the highest version stays, whoever came first"
    for each in results:
        assert each is True or isinstance(each, PolicyError | NotTakenError), each
    assert fleet.look()[0][0].version == 8
    assert not fleet.publish(paths[-1]), "it is published already"
    with pytest.raises(PolicyError, match="version 8 is published already"):
        fleet.publish(paths[0])
    with pytest.raises(PolicyError, match="training has the policy coding, not other"):
        fleet.publish(bundled(tmp_path, 9, name="other"))
    fleet.put(paths[0].read_bytes())
    assert fleet.publish(bundled(tmp_path, 9)), "over what an intruder has put there"


def test_a_bundle_that_is_too_large_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    source = tmp_path / "large.yaml"
    names = [f"{os.urandom(20).hex()}.example\n" for _ in range(2000)]
    (tmp_path / "own.txt").write_text("".join(names))
    source.write_text(POLICY + "lists: {mining: [own.txt]}\n")
    path = tmp_path / "large.bundle"
    path.write_text(bundle(source, 1, None, [KEY], ["training"]))
    with pytest.raises(NotTakenError, match="raise its max_payload, or shorten"):
        fleet.publish(path)
    assert fleet.look() == ([], [])


def test_what_is_odd_in_the_streams_is_told(fleet: Fleet, tmp_path: Path) -> None:
    key = ["--key", str(KEY.public), "--group", "training"]
    done = fleet.command("publish", str(bundled(tmp_path, 1)), *key)
    assert (done.returncode, done.stdout) == (0, "coding, version 1: published for training\n")

    async def work() -> None:
        async with connected(fleet.by("operator"), fleet.settings) as client:
            headers = {"Nats-Time-Stamp": "never", "Nats-Sequence": "x", "Content-Encoding": "zstd"}
            await client.publish("firewall.policy.training", b"x", headers=headers)
            await client.publish("firewall.fleet.training.gpu-17", b"x", headers=headers)
            await client.publish("firewall.policy.a.b", b"x")
            await client.publish("firewall.fleet.training.a/b", b"x")
            await client.flush()
            assert await offered(jetstream(client), "training") is not None

    asyncio.run(work())
    offers, nodes = fleet.look()
    assert [(each.group, each.trouble.partition(":")[0]) for each in offers] == [
        ("a.b", "no group and no node is called so"),
        ("training", "what is published for it is no bundle that its nodes take"),
        ("training.a/b", "no group and no node is called so"),
    ]
    (node,) = nodes
    assert node.troubles[0].startswith("its report cannot be read: this is no signed note")
    done = fleet.command("status")
    assert done.returncode == 1
    assert "training/gpu-17: its report cannot be read" in done.stdout


def test_records_that_do_not_arrive_are_told(fleet: Fleet, workplace: Workplace) -> None:
    log, central = workplace.folder / "audit", workplace.folder / "central"
    key = keys.ensure(workplace.folder / "authority")
    reporter = Reporter("gpu-17", "training", log, workplace.folder / "authority")
    receiver = Receiver(central, {}, print, silence=300, stop=threading.Event())
    assert receiver.run(fleet.by("operator"), fleet.settings, once=True), "it makes the stream"
    asyncio.run(fleet.make_streams())
    chain = AuditLog(log, "gate.0")
    for _ in range(2):
        chain.append({"kind": "verdict"})
    chain.close()
    fleet.report(reporter.write(State()))
    ((node,), (late,)) = fleet.look()[1], fleet.look(ingested=central)[1]
    assert (node.missing, late.missing) == (4, 4)

    settings = replace(fleet.settings, source="gpu-17")
    sink, cursor = open_sink(fleet.by("gpu-17"), settings), Cursor(log, "x")
    Shipper(log, cursor, sink, threading.Event()).run(once=True)
    sink.close()
    cursor.close()
    ((node,), (late,)) = fleet.look({"gpu-17": key.public})[1], fleet.look(ingested=central)[1]
    assert (node.missing, late.missing) == (0, 4), "shipped, and not received yet"


def test_a_node_speaks_for_itself_alone(fleet: Fleet, tmp_path: Path) -> None:
    """With no more than what docs/fleet.md grants it."""
    path = bundled(tmp_path, 1)
    fleet.publish(path)

    async def work() -> None:
        client = await connect(fleet.by("gpu-17"), fleet.settings)
        stream = client.jetstream(timeout=0.5)
        assert await offered(stream, "training") == path.read_bytes()
        for subject in ("firewall.policy.training", "firewall.fleet.training.gpu-18"):
            with pytest.raises(TimeoutError):
                await stream.publish(subject, b"x")
        with pytest.raises(NotTakenError, match="may this user ask"):
            await offered(stream, "lab")
        await client.close()

    asyncio.run(work())
    assert fleet.look()[0][0].version == 1
    assert fleet.look()[1] == []
