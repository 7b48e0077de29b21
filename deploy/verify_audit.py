"""Check an audit log with no part of the firewall: verify_audit.py FOLDER [KEY[,KEY]].

KEY is NAME+ID+KEY (C2SP signed-note), all there were. Exit status: 0 intact, 1 changed or missing,
3 torn end, 4 truncated, 5 unsigned, 6 checkpoints missing; times are not looked at. It needs
`cryptography`, and `zstandard` where old segments are compressed.
"""

import json
import sys
from base64 import b64decode, b64encode
from functools import reduce
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class BadError(Exception): ...


def must(holds, status, *why):
    if not holds:
        raise BadError(status, *why)


def torn(rest, at):
    # Whether a crash can have left these bytes: half a line, or pages that read as zeros.
    line = rest.split(b"\n")[0]
    end = len(line) - len(line[line.find(b"\0") :].lstrip(b"\0"))
    cut = end == len(rest) or (at + end) % 4096 == 0 if b"\0" in line else line == rest
    return cut and len(rest) <= 10 << 20


def lines(path, is_last, parse):
    data, at = path.read_bytes(), 0
    if path.suffix == ".zst":
        data = __import__("zstandard").ZstdDecompressor().stream_reader(data).read()
    while at < len(data):
        end = data.find(b"\n", at) + 1
        try:
            parsed = parse(data[at:end])
        except Exception as error:
            raise BadError(3 if is_last and torn(data[at:], at) else 1, path, at, error) from None
        yield *parsed, at == 0, f"{path}, byte {at}:"
        at = end


def record(line):
    body, _, end = line.rpartition(b',"hash":"')
    must(end == b'%b"}\n' % sha256(b"\0" + body).hexdigest().encode(), 1, "wrong hash")
    return (json.loads(line),)


def base64(text):
    must(b64encode(b64decode(text)).decode() == text, 1, "base64")
    return b64decode(text)


def checkpoint(line):
    outer = json.loads(line)
    text, _, rest = outer["note"].rpartition("\n\n")
    signed = [each.split(" ") for each in rest.removesuffix("\n").split("\n")]
    must(rest.endswith("\n") and all(dash == "—" for dash, _, _ in signed), 1, "no note")
    signatures = [(name, base64(raw)[:4], base64(raw)[4:]) for _, name, raw in signed]
    origin, size, root = text.split("\n")
    return outer, json.loads(outer["statement"]), origin, size, base64(root), text, signatures


def node(right, left):
    return sha256(b"\1" + left + right).digest()


def check_checkpoints(folder, keys, heads, trims):
    roots, count, logs = [], 0, set()
    files = sorted(folder.glob("checkpoints/*.notes"))
    for path in files:
        for each in lines(path, path == files[-1], checkpoint):
            outer, told, origin, size, root, text, signatures, is_first, where = each
            must(size == str(told["checkpoint"]), 1, where, "not its note")
            known = [(keys[n, i], s) for n, i, s in signatures if (n, i) in keys]
            must(known or not keys, 5, where, "not signed by the key")
            for key, signature in known:
                Ed25519PublicKey.from_public_bytes(key).verify(signature, f"{text}\n".encode())
            must(int(size) <= count + 1, 6, where, f"checkpoint {count + 1} is missing")
            before = [each.hex() for each in roots] if is_first else None
            must(int(size) == count + 1 and outer.get("before") == before, 1, where, "moved")
            logs, count = logs | {origin}, count + 1
            roots.append(sha256(b"\0" + outer["statement"].encode()).digest())
            for _ in range((count & -count).bit_length() - 1):
                roots[-2:] = [node(roots[-1], roots[-2])]
            must(reduce(node, reversed(roots)) == root and len(logs) == 1, 1, where, "wrong root")
            for name, head in told["heads"].items():
                heads.setdefault(name, {}).setdefault(head["seq"], head["hash"])
                trims.setdefault(name, {})[head.get("first", 1)] = head.get("prev", "0" * 64)
    must(count or not keys, 5, folder, "no checkpoint")


def check_chain(folder, _, all_heads, all_trims):
    heads, trims = all_heads.get(folder.name, {}), all_trims.get(folder.name, {})
    files = {path.name[:20]: path for path in sorted(folder.glob("*.log*"), reverse=True)}
    seq, prev = int(min(files)) - 1, None
    must(any(kept > seq for kept in {1: "", **trims}), 1, folder, f"begins after record {seq}")
    for first, path in sorted(files.items()):
        must(int(first) == seq + 1, 1, path, f"not after record {seq}")
        for this, _, where in lines(path, first == max(files), record):
            due = {prev, trims.get(this["seq"]), "0" * 64 if seq == 0 else None} - {None}
            must(this["seq"] == seq + 1 and due <= {this["prev"]}, 1, where, "does not follow")
            must(this["chain"] == folder.name, 1, where, "is another chain's")
            must(heads.pop(seq + 1, this["hash"]) == this["hash"], 1, where, "not as signed")
            seq, prev = seq + 1, this["hash"]
    must(not heads, 4, folder, f"ends at record {seq}, but more was signed")


def main(folder, keys=""):
    parts = [key.split("+", 2) for key in keys.split(",") if key]
    known = {(name, bytes.fromhex(id_)): b64decode(key)[1:] for name, id_, key in parts}
    heads, trims, found = {}, {}, [0]
    chains = sorted({each.parent for each in Path(folder).glob("*/*.log*")})
    for place in (Path(folder), *chains):
        check = check_chain if place in chains else check_checkpoints
        try:
            check(place, known, heads, trims)
        except Exception as bad:
            print(*bad.args)
            cut = bad.args[:1] == (3,) and place in chains and heads.get(place.name)
            found.append(4 if cut else bad.args[0] if isinstance(bad, BadError) else 1)
    found += [1 for name in heads.keys() - {each.name for each in chains}]
    return max(found, key=(0, 3, 6, 5, 4, 1).index)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
