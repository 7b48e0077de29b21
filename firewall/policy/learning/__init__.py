"""Policies learned from audit logs: what was seen, as rules for a person to review."""

from firewall.policy.learning.generalise import What, generalise
from firewall.policy.learning.learn import learn
from firewall.policy.learning.learned import Learned
from firewall.policy.learning.text import written

__all__ = ["Learned", "What", "generalise", "learn", "written"]
