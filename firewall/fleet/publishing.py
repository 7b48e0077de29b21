"""A bundle goes out: only one that its nodes would take, and never an older one over a newer."""

from pathlib import Path

from firewall.audit.ship import NotTakenError, Settings
from firewall.audit.ship.stream import pack
from firewall.fleet.wire import POLICIES, connected, jetstream, make_streams, policy_subject, stored
from firewall.policy import PolicyError, Problem, load_policy
from firewall.policy.bundle import Bundle, Contents, Trust, parse_bundle, read_bundle

ATTEMPTS = 5
"""Times that others may come first."""

_WRONG_LAST = frozenset({10071, 10164})
"""nats-server's error codes for another last message of the subject than was expected."""
_NEWER = "firewall policy bundle with a higher --version"


def checked(path: Path, trust: Trust) -> Bundle:
    """The bundle in a file that the nodes of `trust.group` would take. Raises PolicyError."""
    load_policy(path, trust=trust)
    bundle = read_bundle(path)
    assert bundle is not None
    return bundle


async def publish(
    url: str, settings: Settings, bundle: Bundle, trust: Trust, instead_of: str = ""
) -> bool:
    """Offer a bundle to the nodes of `trust.group`; False where it is what they are offered.

    Two who publish at once come one after the other, so that the higher version stays.
    `instead_of` names another policy that it may replace. Raises PolicyError where what is there is
    not older, NotTakenError where the server does not take it.
    """
    from nats.js.errors import APIError

    subject = policy_subject(trust.group)
    data = bundle.path.read_bytes()
    payload, headers = pack(data)
    async with connected(url, settings) as client:
        _must_fit(len(payload), client.max_payload)
        stream = jetstream(client)
        await make_streams(stream)
        for _ in range(ATTEMPTS):
            there = await stored(stream, POLICIES, subject)
            if there is not None and there.data == data:
                return False
            old = standing(there.data, trust) if there else None
            # Whatever else stands there was put there by somebody who cannot sign.
            if old is not None and old.contents.name != instead_of:
                _must_follow(bundle, old.contents, trust.group)
            last = {"Nats-Expected-Last-Subject-Sequence": str(there.seq if there else 0)}
            try:
                await stream.publish(subject, payload, headers={**headers, **last})
            except APIError as error:
                if error.err_code not in _WRONG_LAST:
                    raise
            else:
                return True
        raise NotTakenError(f"{subject}: others publish at the same time; look with fleet status")


def _must_fit(size: int, limit: int) -> None:
    if size > limit:
        raise NotTakenError(
            f"the bundle has {size} bytes, and the server takes {limit} in one message; raise its"
            " max_payload, or shorten the policy's lists"
        )


def _must_follow(new: Bundle, old: Contents, group: str) -> None:
    if old.name != new.contents.name:
        what = f"{group} has the policy {old.name}, not {new.contents.name}"
        write = f"another --group, or --instead-of {old.name}"
        raise PolicyError([Problem(str(new.path), 1, what, write)])
    if old.version >= new.contents.version:
        what = f"version {old.version} is published already, not older than this one"
        raise PolicyError([Problem(str(new.path), 1, what, _NEWER)])


def standing(data: bytes, trust: Trust) -> Bundle | None:
    """The bundle in a message; None where there is none that the keys signed for the group."""
    try:
        bundle = parse_bundle(data, Path(policy_subject(trust.group)))
    except PolicyError:
        return None
    return bundle if bundle is not None and trust.ours(bundle) else None
