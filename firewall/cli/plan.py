"""What a gate is made from: the policy, the places, the options."""

import os
import time
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from firewall.audit import Keep, Place, place
from firewall.cli.listening import host_and_port
from firewall.frozen import frozen
from firewall.places import approvals_directory, control_directory, state_directory
from firewall.policy import Policy
from firewall.policy.reloading import works_beside
from firewall.sandbox import Authority
from firewall.sandbox.trust import bundles_found
from firewall.vault import Vault

INSPECT = ("fast", "http2", "depth")
"""HTTP/1.1 in the gate with all that offer it; with clients that do not offer HTTP/2; with none."""


@frozen
class Options:
    """What a gate is asked for on its command line.

    `policy` is a file or a preset's name, `log` the audit log's folder, `metrics` where Prometheus
    reads, `checkpoints` the second places of the log's checkpoints, `keep` how much of it is kept,
    `inspect` where HTTP is inspected, `workers` how many processes serve flows, `labels` what rules
    with labels are told, `live` whether each verdict is shown as it is made.
    """

    policy: str
    log: Path | None = None
    metrics: str | None = None
    checkpoints: Sequence[str] = ()
    keep: str | None = None
    inspect: str = "fast"
    workers: int = 1
    labels: Sequence[str] = ()
    live: bool = False


@frozen
class Plan:
    """What a gate is put together from.

    `name` names the sandbox in records and commands, `control` is the folder of its control socket,
    `approvals` that of the questions that wait for a person,
    `authority` that of the certificate authority, `ssh_ca` the public key of its SSH host keys,
    `upstream_ca` the bundle of authorities trusted towards servers, `known_hosts` the SSH host keys
    known of them, `watched` whether the policy's files may be reloaded without being asked to,
    `checkpoints` the second places of the log's checkpoints, `keep` how much of it is kept,
    `inspect` where HTTP is inspected, `workers` how many processes serve flows, `vault` the secrets
    of the policy, still unread.
    """

    name: str
    policy_path: str
    policy: Policy
    audit: Path
    control: Path
    approvals: Path
    authority: Path
    ssh_ca: str
    upstream_ca: str
    known_hosts: str
    metrics: tuple[str, int] | None
    watched: bool
    checkpoints: tuple[Place, ...] = ()
    keep: Keep | None = None
    inspect: str = "fast"
    workers: int = 1
    vault: Vault = field(default_factory=Vault)


def make_plan(
    options: Options,
    policy: Policy,
    *,
    kind: str = "run",
    upstream_ca: str | None = None,
) -> Plan:
    """What the gate is made from, with the usual places where nothing else is asked for.

    `policy` is what `options.policy` was loaded as; `kind` begins the name, which no other firewall
    of this state directory has; `upstream_ca` is the bundle trusted towards servers instead of the
    machine's own.
    """
    if options.inspect not in INSPECT:
        raise ValueError(f"--inspect {options.inspect} is none of {', '.join(INSPECT)}")
    # Without symbolic links, which an agent could turn elsewhere while it runs.
    state = state_directory().resolve()
    audit = (options.log or state / "audit").resolve()
    try:
        authority = Authority.ensure(state / "authority")
        audit.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{error.filename or state} cannot be made: {error.strerror}; name another folder for"
            " the firewall's state in FIREWALL_STATE, or one for its log with --log"
        ) from error
    return Plan(
        name=f"{kind}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}",
        policy_path=options.policy,
        policy=policy,
        audit=audit,
        control=control_directory(),
        approvals=approvals_directory(),
        authority=authority.directory,
        ssh_ca=authority.ssh,
        upstream_ca=upstream_bundle() if upstream_ca is None else upstream_ca,
        known_hosts=known_hosts(),
        metrics=None if options.metrics is None else host_and_port(options.metrics),
        watched=not works_beside(policy),
        checkpoints=tuple(place(each) for each in options.checkpoints),
        keep=None if options.keep is None else Keep.parse(options.keep),
        inspect=options.inspect,
        workers=options.workers,
        vault=Vault.of(policy.secrets, policy.watched),
    )


def upstream_bundle() -> str:
    """The authorities trusted towards servers: the user's own choice, or the system's.

    Raises ValueError where there are none.
    """
    if named := os.environ.get("SSL_CERT_FILE"):
        return _with_certificates(Path(named).absolute())
    found = bundles_found()
    if not found:
        raise ValueError(
            "no bundle of certificate authorities was found; install ca-certificates, or name one "
            "in SSL_CERT_FILE"
        )
    return found[0]


def _with_certificates(path: Path) -> str:
    try:
        why = "" if b"-----BEGIN " in path.read_bytes() else "it holds no certificate"
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise ValueError(
            f"SSL_CERT_FILE names {path}, by which no server could be trusted: {why}; name a PEM"
            " file of certificate authorities, or unset it for the system's"
        )
    return str(path)


def known_hosts() -> str:
    """The SSH host keys that this user's and this machine's own files list (ssh_config(5)).

    Read before the agent starts, which may be able to write to the user's.
    """
    files = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
    found = (Path(each).expanduser() for each in files)
    return "\n".join(_text(each) for each in found if each.is_file())


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except PermissionError:
        return ""
