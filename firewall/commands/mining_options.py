"""A miner under another name, by the options that miners take and nothing else does."""

import re
from collections.abc import Mapping, Sequence

from firewall.requests import Confidence, Finding

_SERVER = ("-o", "--url", "--server", "--pool", "-pool", "-pool1", "-epool", "-s", "-P")
_POOLS = ("-o", "--url", "--pool", "-pool", "-pool1", "-epool")
_ACCOUNT = (
    "-u", "--user", "--wallet", "-wal", "-ewal", "-w", "--userpass", "-O", "--address",
)  # fmt: skip
_PASSWORD = {"-p", "--pass", "-pass", "-epsw"}
_ALGORITHM = ("-a", "--algo", "--algorithm", "--coin")
_LONG = ({"--pool", "--server"}, {"--wallet", "--user"}, {"--algo", "--algorithm"})

_OWN = frozenset({
    "--donate-level", "--donate-over-proxy", "--cpu-max-threads-hint", "--randomx-mode",
    "--randomx-1gb-pages", "--randomx-wrmsr", "--randomx-no-rdmsr", "--randomx-no-numa",
    "--cuda-bfactor-hint", "--nicehash", "--ethstratum", "--dag_mode", "--enable-dag-cache",
    "--extra-dag-epoch", "--rig-id", "--submit-stale", "--stratum-ssl", "--opencl-threads",
    "-epool", "-ewal", "-epsw", "-eworker", "-wal", "-esm", "-mport", "-dcri",
    "--tls-fingerprint", "--cpu-memory-pool", "--huge-pages-jit", "--mining-threads",
    "--start-mining",
})  # fmt: skip
"""XMRig, lolMiner, GMiner, T-Rex, PhoenixMiner and Claymore's own, by their documentation."""

_STARTS = "--start-mining"
"""monerod's own and no other program's."""

_ENDPOINT = re.compile(r"(?:[a-z]+://)?(?:[^@\s/]+@)?[A-Za-z0-9.-]+:[0-9]{2,5}/?")
_ALGORITHMS = re.compile(
    r"(?:rx/|cn/|cn-|argon2/)[a-z0-9]+|randomx|randomepic|cryptonight.*|ghostrider|kawpow|firopow|"
    r"progpow.*|evrprogpow|meowpow|ethash.*|etchash|ubqhash|autolykos2?|octopus|fishhash|scryptn?.*|"
    r"sha256d?|sha256dt|sha512256d|x11|x16r(?:v2)?|x17|x21s|x25x|lyra2.*|neoscrypt.*|equihash.*|"
    r"beamhash.*|beamv[0-9]|cuckat?oo.*|cuckaroo.*|kheavyhash|karlsenhash.*|pyrinhash|blake3.*|"
    r"verushash|yescrypt.*|yespower.*|minotaurx?|power2b|cpupower|mike|gr|astrobwt.*|dynexsolve|"
    r"nexapow|heavyhash|allium|groestl|skydoge|zelhash|zhash|monero|sha3x",
    re.IGNORECASE,
)
_WALLETS = re.compile(
    r"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?|0x[0-9a-fA-F]{40}|"
    r"(?:bc1|ltc1|tb1)[02-9ac-hj-np-z]{25,71}|[13LMDRtXa9][1-9A-HJ-NP-Za-km-z]{25,50}|"
    r"(?:kaspa|karlsen|nexa|cfx|bitcoincash|dero1|zil1)[:0-9a-z]{30,}|(?:EQ|UQ)[A-Za-z0-9_-]{46}"
)
"""Monero (plain, integrated), Ethereum, bech32, base58 of several coins, prefixed ones, TON."""

_POOL_HOST = re.compile(
    r"(?:\A|[./@-])(?:[a-z0-9]{0,9}pool|pool[0-9]{0,3}|xmr|monero|mine|mining|stratum)[.:-]|"
    r"2miners|moneroocean|nanopool|hashvault|nicehash|minexmr|c3pool|herominers|unmineable"
)


def by_options(program: str, arguments: Sequence[str]) -> Finding | None:
    """What a miner's options give away, whatever the program is called."""
    options = options_of(arguments)
    if len(options) < 2 and _STARTS not in options:
        return None
    own = sorted(_OWN & options.keys())
    pool = _pool(options)
    account = next((options[name] for name in _ACCOUNT if options.get(name)), "")
    algorithm = next((options[name] for name in _ALGORITHM if name in options), "")
    if pool and account and _ALGORITHMS.fullmatch(algorithm):
        return _found(f"options for a pool, an account and the algorithm {algorithm}", "certain")
    if pool and account and _is_for_mining(pool, account, options):
        return _found(f"options for a pool and the account {account[:12]}...", "likely")
    told = account or _ALGORITHMS.fullmatch(algorithm)
    if _STARTS in options or len(own) > 1 or (own and pool and told):
        return _found(f"a miner's options {', '.join(own)}", "likely")
    named = program == "miner" and pool and account and algorithm
    if named or (all(names & options.keys() for names in _LONG) and _is_given(options)):
        return _found("the options of a pool, a wallet and an algorithm", "likely")
    return None


def is_wallet(text: str) -> bool:
    """Whether it is a coin's address, perhaps with a coin before it or a worker behind it."""
    address = re.split(r"[./#+,]", text.rpartition("@")[0] or text, maxsplit=1)[0]
    return any(_WALLETS.fullmatch(each) for each in (address, address.partition(":")[2]))


def is_endpoint(text: str) -> bool:
    """Whether it is host:port, as pools are named."""
    return _ENDPOINT.fullmatch(text) is not None


def _pool(options: Mapping[str, str]) -> str:
    return next((options[name] for name in _SERVER if is_endpoint(options.get(name, ""))), "")


def _is_for_mining(pool: str, account: str, options: Mapping[str, str]) -> bool:
    """Wallets and nodes take addresses and servers too, but no worker's name, and speak HTTP.

    An account that is no wallet needs a host that is called a pool, and a password.
    """
    if pool.startswith(("http", "ws")):
        return False
    if not is_wallet(account):
        return bool(_POOL_HOST.search(pool)) and not options.keys().isdisjoint(_PASSWORD)
    return "." in account or any(name in options for name in _POOLS)


def _is_given(options: Mapping[str, str]) -> bool:
    """--pool and --wallet name nothing else together; --server and --user do."""
    return {"--pool", "--wallet"} <= options.keys()


def options_of(arguments: Sequence[str]) -> dict[str, str]:
    """Options with their values, "--name value" and "--name=value" alike; the last counts."""
    pairs = {}
    for at, word in enumerate(arguments, 1):
        if word[:1] == "-":
            name, equals, value = word.partition("=")
            pairs[name] = value if equals else "".join(arguments[at : at + 1])
    return pairs


def _found(evidence: str, confidence: Confidence) -> Finding:
    return Finding("mining", "miner", evidence, "arguments", confidence)
