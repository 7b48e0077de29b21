"""S3-like stores: bucket and key, in the path or with the bucket in the host's name (Amazon S3 User
Guide, "Virtual hosting of general purpose buckets")."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote

from firewall.requests import Act

_DOES = {"GET": "read", "HEAD": "read", "PUT": "write", "POST": "write", "DELETE": "delete"}


def s3_acts(
    method: str, host: str, endpoint: str, segments: Sequence[str], query: str
) -> tuple[Act, ...]:
    """What a request asks of the store at `endpoint`: its subject is "bucket/key".

    A request about a bucket itself has no key ("bucket/"); one about no bucket is not told.
    """
    below = host.removesuffix(f".{endpoint}")
    if host == endpoint:
        bucket, *key = segments or ("",)
    elif below != host:
        bucket, key = below, list(segments)
    else:
        return ()
    does = "delete" if deletes_several(method, query) else _DOES.get(method, "")
    return (Act(does, f"{bucket}/{'/'.join(key)}"),) if does and bucket else ()


def deletes_several(method: str, query: str) -> bool:
    """Whether a request is a DeleteObjects, whose keys stand in its body."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return method == "POST" and any(name == "delete" for name, _ in pairs)


def copied_from(source: str) -> Act:
    """The read that a copy is besides; of no subject where its source is not told as BUCKET/KEY."""
    bucket, _, key = unquote(source.partition("?")[0]).removeprefix("/").partition("/")
    return Act("read", f"{bucket}/{key}" if bucket and key and ":" not in bucket else "")
