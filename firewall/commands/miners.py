"""Mining software, by name, by pool address and by the options all miners share."""

import re
from collections.abc import Sequence

from firewall.requests import Finding

_PROGRAMS = re.compile(
    r"(?:xmrig|xmrigcc|xmrigdaemon|xmrigminer|xmr-stak(?:-.*)?|minerd|cpuminer|ccminer|cgminer|"
    r"bfgminer|"
    r"sgminer|ethminer|kawpowminer|nbminer|lolminer|t-rex|gminer|phoenixminer|teamredminer|"
    r"srbminer(?:-multi)?|wildrig(?:-multi)?|nanominer|bminer|bzminer|rigel|nheqminer|z-enemy|"
    r"grin-miner|p2pool|onezerominer|claymore|ethdcrminer64|nsfminer|"
    r"cryptodredge)(?:[-_.][a-z0-9_.-]+)?"
)

_POOL = re.compile(
    r"(?:--?[A-Za-z][A-Za-z0-9-]*=?|\[[0-9]\])?"
    r"((?:stratums?[0-9]{0,2}|nicehash|eth(?:proxy|stratum|nh)|daemon|solo|zmp)"
    r"(?:\+(?:tcps?|udp|ssl|tls|tls12|https?))?://)[^/\s]*[A-Za-z0-9_\]]\S*"
)
"""xmrig Url.cpp, ethminer PoolURI.cpp, NBMiner and bzminer's readmes. A host must follow and the
word must end with it: a search for such addresses, or a text about one, is not their use."""

_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)(?:[a-z0-9._-]+/)*([a-z0-9._-]+)(?:[:@][\w.:-]+)?"
)
"""An image's name with at least one folder, as those of a public registry's users have."""

_PLAIN_SCHEMES = {"daemon://", "solo://"}

_TEXT = frozenset({
    "echo", "printf", "logger", "grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "git",
    "test", "[", "expr", "jq", "sed", "awk", "gawk", "nslookup", "dig", "host",
})  # fmt: skip
"""Programs that print, search or look up whatever word they are given."""
_USER = {"-u", "--user", "--userpass", "--wallet", "-wal"}

_OWN = {
    "--donate-level", "--donate-over-proxy", "--randomx-mode", "--randomx-init",
    "--randomx-1gb-pages", "--randomx-wrmsr", "--randomx-cache-qos", "--cpu-max-threads-hint",
    "--cuda-loader", "--rig-id", "--nicehash",
}  # fmt: skip
"""Options that only miners have: xmrig's Config_platform.h and its kin."""

_SERVER = {"-o", "--url", "--server", "--pool", "-pool", "-s", "-P"}
_ACCOUNT = {"-u", "--user", "--wallet", "-wal", "-w", "--userpass", "-O"}
_ALGORITHM = {"-a", "--algo", "--algorithm", "--coin"}
_ENDPOINT = re.compile(r"(?:[a-z]+://)?[A-Za-z0-9.-]+:[0-9]{2,5}/?")
_ALGORITHMS = re.compile(
    r"(?:rx/|cn/|cn-|argon2/)[a-z0-9]+|randomx|cryptonight.*|ghostrider|kawpow|firopow|progpow.*|"
    r"ethash.*|"
    r"etchash|autolykos2?|octopus|scrypt|sha256d?|x11|x16r(?:v2)?|lyra2.*|neoscrypt|equihash.*|"
    r"beamhash.*|cuckat?oo.*|kheavyhash|blake3|verushash|yescrypt.*|yespower.*|monero|nexapow",
    re.IGNORECASE,
)


def inspect_miners(program: str, arguments: Sequence[str]) -> list[Finding]:
    """What gives a miner away. `program` is its name without path, in lower case."""
    found = (
        _by_name(program)
        or _by_image(program, arguments)
        or _by_address(program, arguments)
        or _by_options(arguments)
    )
    return [found] if found else []


def _by_name(program: str) -> Finding | None:
    if not _PROGRAMS.fullmatch(program):
        return None
    return Finding("mining", "miner", f"mining program {program}", "argument 0")


def _by_image(program: str, arguments: Sequence[str]) -> Finding | None:
    """A container whose image is called as a miner: docker run OPTIONS IMAGE[:TAG] ..."""
    if program not in _ENGINES or not {"run", "create"} & set(arguments[:3]):
        return None
    for place, word in enumerate(arguments, 1):
        image = _IMAGE.fullmatch(word)
        if image and _PROGRAMS.fullmatch(image[1]):
            return Finding("mining", "miner", f"container image {word}", f"argument {place}")
    return None


def _by_address(program: str, arguments: Sequence[str]) -> Finding | None:
    """A pool's address; with an account too where the program may only print or search it."""
    if program in _TEXT and not _USER & dict(_options(arguments)).keys():
        return None
    for place, word in enumerate(arguments, 1):
        pool = _POOL.fullmatch(word)
        if pool and pool[1] not in _PLAIN_SCHEMES:
            return Finding(
                "mining", "pool-address", f"mining pool address {pool[1]}", f"argument {place}"
            )
    return None


def _by_options(arguments: Sequence[str]) -> Finding | None:
    """A server, an account and a mining algorithm, as miners take them."""
    options = dict(_options(arguments))
    server = any(_ENDPOINT.fullmatch(options.get(name, "")) for name in _SERVER)
    algorithm = next(
        (value for name in _ALGORITHM if _ALGORITHMS.fullmatch(value := options.get(name, ""))),
        None,
    )
    own = next((name for name in options if name in _OWN), None)
    if not (server and (algorithm or own) and _ACCOUNT & options.keys()):
        return None
    what = f"the algorithm {algorithm}" if algorithm else f"the miners' option {own}"
    evidence = f"options for a pool, an account and {what}"
    return Finding("mining", "miner", evidence, "arguments")


def _options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values, "--name value" and "--name=value" alike."""
    pairs = []
    for word, after in zip(arguments, [*arguments[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            pairs.append((name, value if equals else after))
    return pairs
