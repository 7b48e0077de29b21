"""Mining messages in JSON: Stratum, its relatives, and the getwork family.

The rules look at parsed values only: method names and the keys beside them. A text that merely
quotes a mining message is a string inside some other value, and stays unflagged.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from firewall.protocols.jsonstream import decode
from firewall.protocols.mining.hints import may_mine
from firewall.protocols.sign import Sign

_STRATUM_METHODS = {
    # slushpool's Stratum, BIP 310, NiceHash's extensions, EIP-1571, nicehash/Specifications
    "subscribe", "authorize", "submit", "configure", "extranonce.subscribe", "suggest_difficulty",
    "suggest_target", "get_transactions", "capabilities", "multi_version", "hello", "noop", "bye",
    "set", "reconnect", "notify", "set_difficulty", "set_target", "set_extranonce", "submitted",
    "set_version_mask", "set_goal", "ping", "pong", "get_upstream", "submit_hashrate",
}  # fmt: skip

_METHODS = {
    # In lower case. ethminer EthStratumClient.cpp and EthGetworkClient.cpp
    "eth_submitlogin": "eth-proxy",
    "eth_getwork": "eth-getwork",
    "eth_submitwork": "eth-getwork",
    "eth_submithashrate": "eth-getwork",
    # xmrig Client.cpp, SelfSelectClient.cpp; p2pool's daemon calls
    "keepalived": "monero-stratum",
    "block_template": "monero-stratum",
    "get_miner_data": "monero-daemon",
    # BIP 22 and cpuminer cpu-miner.c; Monero's daemon has the same and an alias
    "getwork": "getwork",
    "getblocktemplate": "getblocktemplate",
    "get_block_template": "getblocktemplate",
    "submitblock": "getblocktemplate",
    "submit_block": "getblocktemplate",
    # Bitcoin and Namecoin's merged mining; Bitcoin SV
    "getauxblock": "getblocktemplate",
    "createauxblock": "getblocktemplate",
    "submitauxblock": "getblocktemplate",
    "getminingcandidate": "getblocktemplate",
    "submitminingsolution": "getblocktemplate",
}

_RAW_METHODS = {
    # grin-miner src/bin/client.rs; kaspa-stratum-bridge default_client.go. On the web these words
    # may mean other things.
    "getjobtemplate": "grin",
    "set_extranonce": "kaspa",
}

_WALLET = re.compile(
    r"[48][1-9A-HJ-NP-Za-km-z]{94}(?:[1-9A-HJ-NP-Za-km-z]{11})?(?:[.+].*)?", re.DOTALL
)
"""A Monero address (cryptonote_config.h), perhaps with a difficulty or a worker behind it."""

_WORD_256 = re.compile(r"0x[0-9a-f]{64}")
_TARGET = re.compile(r"0x000000(?!0{58})[0-9a-f]{58}")
"""A difficulty of 2**24 or more; the third of three hashes is such a word once in as many times."""
_BLOB = re.compile(r"[0-9A-Fa-f]{100,}")

type Message = dict[str, Any]


def inspect_json(text: bytes, *, raw: bool) -> tuple[Sign, ...]:
    """The signs in the JSON values at the start of `text`.

    `raw` says that they came on a bare socket, where words that web APIs may use freely are signs.
    """
    if not may_mine(text):
        return ()
    return inspect_values(decode(text), raw=raw)


def inspect_values(values: Iterable[Any], *, raw: bool) -> tuple[Sign, ...]:
    """The same for values that are parsed already."""
    signs: list[Sign] = []
    for value in values:
        for message in value if isinstance(value, list) else (value,):
            if isinstance(message, dict) and message:
                signs += _inspect(message, raw)
    return tuple(dict.fromkeys(signs)) if signs else ()


def _inspect(message: Message, raw: bool) -> list[Sign]:
    """Only those rules are asked of whose keys the message has one."""
    signs = [rule(message, raw) for keys, rule in _RULES if not keys.isdisjoint(message)]
    if not "".join(message).islower():
        folded = _folded(message)
        signs += [rule(folded, raw) for keys, rule in _RULES if not keys.isdisjoint(folded)]
    return [sign for sign in signs if sign]


def _folded(value: Any, depth: int = 3) -> Any:
    """Keys as Go's encoding/json matches them, whatever their case: many pools are in Go."""
    if not isinstance(value, dict) or not depth:
        return value
    return {key.casefold(): _folded(inner, depth - 1) for key, inner in value.items()}


def _by_method(message: Message, raw: bool) -> Sign | None:
    """By the method in any case: ckpool and cgminer compare it with strncasecmp."""
    method = message.get("method")
    if not isinstance(method, str):
        return None
    word = method.lower()
    if word.startswith("mining."):
        known = word.removeprefix("mining.") in _STRATUM_METHODS
        return _mining(_dialect(message, word), method) if raw or known else None
    if rule := _BY_METHOD.get(word):
        return rule(message, raw)
    name = _METHODS.get(word) or (_RAW_METHODS.get(word) if raw else None)
    return _mining(name, method) if name else None


def _dialect(message: Message, method: str) -> str:
    """Which Stratum it is, where the message says so; most dialects share their first words.

    nicehash/Specifications: FishHash says body for params, kHeavyHash logs in with a Kaspa address;
    EthereumStratum names itself and version 2 begins with mining.hello (EIP-1571).
    """
    params = message.get("params")
    values = list(params.values()) if isinstance(params, dict) else params
    texts = [each for each in values if isinstance(each, str)] if isinstance(values, list) else []
    if method == "mining.hello" or any(text.startswith("EthereumStratum/") for text in texts):
        return "ethereum-stratum"
    if any(text.startswith("kaspa:") for text in texts):
        return "kaspa-stratum"
    return "ironfish-stratum" if isinstance(message.get("body"), dict) else "stratum"


def _mining(name: str, method: str) -> Sign:
    shown = method.encode("ascii", "backslashreplace").decode()[:64]
    return Sign("mining", name, f"JSON-RPC method {shown}")


def _login(message: Message, raw: bool) -> Sign | None:
    """xmrig Client.cpp, xmr-stak jpsock.cpp, grin-miner; Beam puts `api_key` beside `method`.

    Applications log in with `login` and `password`; only miners shorten it to `pass`.
    """
    if raw and isinstance(message.get("api_key"), str):
        return Sign("mining", "beam", "JSON-RPC method login with api_key")
    params = _parameters(message)
    login = params.get("login")
    if not isinstance(login, str):
        return None
    if _WALLET.fullmatch(login):
        return Sign("mining", "monero-stratum", "JSON-RPC method login with a Monero address")
    marks = [key for key in ("algo", "rigid", "agent") if key in params]
    if "pass" in params and (raw or marks):
        evidence = f"JSON-RPC method login with {', '.join(['login', 'pass', *marks])}"
        return Sign("mining", "monero-stratum", evidence)
    return None


def _submit(message: Message, raw: bool) -> Sign | None:
    """A share: xmrig Client.cpp, grin-miner; Coinhive says `type` for `method`."""
    if {"job_id", "nonce"} <= _parameters(message).keys():
        return Sign("mining", "monero-stratum", "submit with job_id and nonce")
    return None


def _solution(message: Message, raw: bool) -> Sign | None:
    """Beam's share (nicehash Beam_NiceHash_v1.0.txt)."""
    if raw and {"nonce", "output"} <= message.keys():
        return Sign("mining", "beam", "solution with nonce and output")
    return None


def _beam_job(message: Message, raw: bool) -> Sign | None:
    if raw and {"input", "nonceprefix"} & message.keys():
        return Sign("mining", "beam", "job with input")
    return None


def _new_work(message: Message, raw: bool) -> Sign | None:
    """Ethereum work by subscription (CyberChainXyz stratum-jsonrpc2-ws)."""
    params = message.get("params")
    if isinstance(params, list) and "newWork" in params:
        return Sign("mining", "eth-getwork", "JSON-RPC method eth_subscribe to newWork")
    return None


def _job(message: Message, raw: bool) -> Sign | None:
    """A job in params, in a result, or in a login's result (xmrig-proxy doc/STRATUM.md); Grin's has
    `pre_pow` for a blob (grin doc/stratum.md)."""
    result = message.get("result")
    inner = result.get("job") if isinstance(result, dict) else None
    for place in (message, _parameters(message), result, inner):
        if not isinstance(place, dict) or "job_id" not in place:
            continue
        blob = place.get("blob")
        if isinstance(place.get("pre_pow"), str):
            return Sign("mining", "grin", "job with job_id and pre_pow")
        if isinstance(blob, str) and ("target" in place or _BLOB.fullmatch(blob)):
            return Sign("mining", "monero-stratum", "job with job_id and blob")
    return None


def _result(message: Message, raw: bool) -> Sign | None:
    """Answers of pools and of nodes that hand out work."""
    match message.get("result"):
        case dict(result):
            return _result_object(result)
        case [_, str(version), *_] if version.startswith("EthereumStratum/"):
            return Sign("mining", "ethereum-stratum", "answer to mining.subscribe")
        case list(result) if _names_stratum(result):
            return Sign("mining", "stratum", "answer to mining.subscribe")
        case [str(header), str(seed), str(target), *rest] if (
            _are_words(header, seed) and _TARGET.fullmatch(target) and not _are_words(*rest[:1])
        ):
            return Sign("mining", "eth-getwork", "answer to eth_getWork: header, seed and target")
    return None


def _are_words(*values: Any) -> bool:
    """A block's number may follow the target; a further word makes it a list of hashes."""
    return bool(values) and all(
        isinstance(each, str) and _WORD_256.fullmatch(each) for each in values
    )


def _result_object(result: Message) -> Sign | None:
    """monerod's and bitcoind's templates, getwork's data, xmrig's keep-alive."""
    if result.get("status") == "KEEPALIVED":
        return Sign("mining", "monero-stratum", "answer KEEPALIVED")
    if "blocktemplate_blob" in result or {"coinbasevalue", "previousblockhash"} <= result.keys():
        return Sign("mining", "getblocktemplate", "answer to getblocktemplate")
    if {"midstate", "data", "target"} <= result.keys():
        return Sign("mining", "getwork", "answer to getwork")
    return None


def _names_stratum(items: list[Any], depth: int = 3) -> bool:
    """Whether a subscription stands among nested lists: ["mining.notify", id]."""
    for item in items[:16]:
        if isinstance(item, str) and item.startswith(("mining.", "EthereumStratum/")):
            return True
        if isinstance(item, list) and depth and _names_stratum(item, depth - 1):
            return True
    return False


def _web_socket(message: Message, raw: bool) -> Sign | None:
    """Miners in web pages: Coinhive's protocol and webminerpool's.

    coinhive-stratum-mining-proxy.py; webminerpool SDK/miner_raw/miner/miner.js.
    """
    kind, identifier = message.get("type"), message.get("identifier")
    if kind == "submit":
        return _submit(message, raw)
    if kind == "auth" and "site_key" in _parameters(message):
        return Sign("mining", "coinhive", "auth with site_key")
    if kind in ("authed", "hash_accepted") and "hashes" in _parameters(message):
        return Sign("mining", "coinhive", f"{kind} with a count of hashes")
    if identifier == "handshake" and {"login", "pool"} & message.keys():
        return Sign("mining", "webminerpool", "handshake with a pool login")
    if identifier == "solved" and "nonce" in message:
        return Sign("mining", "webminerpool", "solved with nonce")
    return None


def _ton(message: Message, raw: bool) -> Sign | None:
    """TON-Pool/miner miner.py: a job of a giver contract, a share for one."""
    if {"giver", "miner_addr", "inputs"} <= message.keys():
        return Sign("mining", "ton", "share with giver, miner_addr and inputs")
    if {"giver", "complexity", "seed", "prefix"} <= message.keys():
        return Sign("mining", "ton", "job with giver, complexity, seed and prefix")
    return None


def _bore(message: Message, raw: bool) -> Sign | None:
    """bore src/shared.rs: {"Hello": port}, NUL-terminated."""
    if raw and message.keys() == {"Hello"} and isinstance(message["Hello"], float):
        return Sign("tunnel", "bore", "message Hello")
    return None


def _parameters(message: Message) -> Message:
    """The named parameters; Iron Fish says `body` for `params` (nicehash FishHash_v1.0.txt)."""
    for key in ("params", "body"):
        if isinstance(value := message.get(key), dict):
            return value
    return {}


type _Rule = Callable[[Message, bool], Sign | None]

_BY_METHOD: dict[str, _Rule] = {
    "login": _login,
    "submit": _submit,
    "solution": _solution,
    "job": _beam_job,
    "eth_subscribe": _new_work,
}
"""Methods that other programs have too, so that the keys beside them decide."""

_RULES: tuple[tuple[frozenset[str], _Rule], ...] = (
    (frozenset({"method"}), _by_method),
    (frozenset({"params", "body", "result", "job_id"}), _job),
    (frozenset({"result"}), _result),
    (frozenset({"type", "identifier"}), _web_socket),
    (frozenset({"giver"}), _ton),
    (frozenset({"Hello"}), _bore),
)
"""The rules, each with the keys of which a message that it knows has one at least."""
