"""What to add to a rule's `requests`, so that it allows one more request and as little else as the
policy language can say."""

import re
from collections.abc import Iterable

from firewall.policy.apikeys import api_keys, url_keys
from firewall.policy.apis import Told, api_of
from firewall.policy.document import RequestRule
from firewall.policy.flow import flow, quoted
from firewall.policy.paths import clean

LONG = 200
"""Characters of a path that are written; `**` stands for what follows."""

_UNWRITABLE = re.compile(r"[*?#%\\]+|[^ -\U0010ffff]+")
"""What a path's glob takes otherwise, or not at all."""


def entry(told: Told, requests: Iterable[RequestRule]) -> str:
    """The entry as YAML; "" where none can say what was asked. `requests` are those there are: what
    they ask of an API is asked in its terms, as a path alone would open more."""
    for each in requests:
        api = api_of(each)
        if api is not None and not api.in_body and (acts := api.acts(told)):
            return flow(url_keys(each, acts))
    keys = api_keys(told.calls)
    segments = clean(told.path.partition("?")[0])
    if keys is None or segments is None:
        return ""
    more = f", {flow(keys)[1:-1]}" if keys else ""
    return f"{{method: {told.method}, path: {quoted(_glob(segments))}{more}}}"


def _glob(segments: Iterable[str]) -> str:
    """The path as a glob, in which `*` stands for what cannot be written."""
    written, length = [""], 0
    for segment in segments:
        length += len(segment) + 1
        if length > LONG:
            return "/".join([*written, "**"])
        written.append(_UNWRITABLE.sub("*", segment))
    return "/".join(written)
