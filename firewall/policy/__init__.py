"""The policy: a YAML file becomes an object that decides requests, purely."""

from firewall.policy.errors import PolicyError, Problem
from firewall.policy.policy import Policy, load_policy

__all__ = ["Policy", "PolicyError", "Problem", "load_policy"]
