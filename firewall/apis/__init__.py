"""What a request asks of an API: from its method and path, or from its body. Pure; nothing raises
for what a client can send, and what cannot be read as one thing is None."""

from firewall.apis.bodies import READ_LIMIT, begins_with_json, read_body, readable_body
from firewall.apis.git import git_acts
from firewall.apis.packages import npm_acts, pypi_acts
from firewall.apis.registry import registry_acts
from firewall.apis.s3 import copied_from, deletes_several, s3_acts

__all__ = [
    "READ_LIMIT",
    "begins_with_json",
    "copied_from",
    "deletes_several",
    "git_acts",
    "npm_acts",
    "pypi_acts",
    "read_body",
    "readable_body",
    "registry_acts",
    "s3_acts",
]
