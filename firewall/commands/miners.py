"""Mining software, by name, by pool address and by the options all miners share."""

import re
from collections.abc import Sequence

from firewall.commands.mining_options import by_options, is_endpoint, is_wallet, options_of
from firewall.requests import Finding

_PROGRAMS = re.compile(
    r"(?:xmrig|xmrigcc|xmrigdaemon|xmrigminer|xmr-stak(?:-.*)?|minerd|cpuminer|ccminer|cgminer|"
    r"bfgminer|sgminer|ethminer|kawpowminer|nbminer|lolminer|t-rex|gminer|phoenixminer|teamredminer|"
    r"srbminer(?:-multi)?|wildrig(?:-multi)?|nanominer|bminer|bzminer|rigel|nheqminer|z-enemy|"
    r"grin-miner|p2pool|onezerominer|claymore|ethdcrminer64|nsfminer|cryptodredge|miniz|lyclminer|"
    r"tnn-miner|hellminer|astrominer|jce_cn_cpu_miner|cast_xmr|"
    r"kaspa-miner|karlsen-miner|spectre-miner|deroluna-miner|apoolminer|rqiner|qli-client|"
    r"minergate(?:-cli)?|excavator|quickminer|multiminer|kdevtmpfsi|kinsing|moneroocean|"
    r"xmr-miner|xmrminer|monero-miner|setup_moneroocean_miner|xmr-node-proxy|pc_miner|zecminer64|"
    r"alephium-(?:cuda|gpu|cpu)-miner|nicehash-?(?:quick)?miner|cudo-?miner|hive-?miner)(?:[-_.][a-z0-9_.-]+)?"
)

_POOL = re.compile(
    r"(?:--?[A-Za-z][A-Za-z0-9-]*=?|\[[0-9]\]|[A-Za-z_][A-Za-z0-9_]*=)?"
    r"((?:stratums?[0-9]{0,2}|nicehash|eth(?:proxy|stratum|nh)|node|daemon|solo|zmp)"
    r"(?:\+(?:tcps?|udp|ssl|tls|tls12|https?))?://)[^/\s]*[A-Za-z0-9_\]]\S*"
)
"""xmrig Url.cpp, ethminer PoolURI.cpp, NBMiner and bzminer's readmes. A host must follow and the
word must end with it: a search for such addresses, or a text about one, is not their use."""

_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)(?:[a-z0-9._-]+/)*([a-z0-9._-]+)(?:[:@][\w.:-]+)?"
)
"""An image's name with at least one folder, as those of a public registry's users have."""

_VARIABLE = re.compile(r"(?:-e|--env=)?[A-Z][A-Z0-9_]*=")
_PLAIN_SCHEMES = {"daemon://", "solo://", "node://"}

_SPEAKERS = frozenset({
    "ag", "ack", "awk", "cat", "cut", "dig", "diff", "echo", "egrep", "fgrep", "find", "firewall",
    "gawk", "git", "grep", "head", "host", "ip", "iptables", "ip6tables", "jq", "less", "logger",
    "ls", "man", "more", "nft", "printf", "rg", "sed", "sort", "sqlite3", "tail", "tee", "test",
    "tr", "ufw", "yq", "zgrep", "[", "expr", "nslookup",
})  # fmt: skip
"""Programs that look for an address or speak of one, and never mine at it."""

_USER = {"-u", "--user", "--userpass", "--wallet", "-wal"}


def inspect_miners(program: str, arguments: Sequence[str]) -> list[Finding]:
    """What gives a miner away. `program` is its name without path, in lower case."""
    found = (
        _by_name(program)
        or _by_image(program, arguments)
        or _by_address(program, arguments)
        or by_options(program, arguments)
    )
    return [found] if found else []


def _by_name(program: str) -> Finding | None:
    if not _PROGRAMS.fullmatch(program):
        return None
    return Finding("mining", "miner", f"mining program {program}", "argument 0")


def _by_image(program: str, arguments: Sequence[str]) -> Finding | None:
    """A container whose image is called as a miner, or whose variables name a pool and a wallet."""
    if program not in _ENGINES or not {"run", "create"} & set(arguments[:3]):
        return None
    for place, word in enumerate(arguments, 1):
        image = _IMAGE.fullmatch(word)
        if image and _PROGRAMS.fullmatch(image[1]):
            return Finding("mining", "miner", f"container image {word}", f"argument {place}")
    values = [word.partition("=")[2] for word in arguments if _VARIABLE.match(word)]
    if any(map(is_endpoint, values)) and any(map(is_wallet, values)):
        return Finding("mining", "miner", "variables for a pool and a wallet", "arguments")
    return None


def _by_address(program: str, arguments: Sequence[str]) -> Finding | None:
    """A pool's address; with an account too where the program may only print or search it."""
    if program in _SPEAKERS and not _USER & options_of(arguments).keys():
        return None
    for place, word in enumerate(arguments, 1):
        pool = _POOL.fullmatch(word) if "://" in word else None
        if pool and pool[1] not in _PLAIN_SCHEMES:
            return Finding(
                "mining", "pool-address", f"mining pool address {pool[1]}", f"argument {place}"
            )
    return None
