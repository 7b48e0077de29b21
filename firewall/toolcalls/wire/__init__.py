"""Tool calls in the answers of model APIs, judged on the wire before the agent sees them.

sans-I/O: a `Rewriter` is fed an answer's bytes and yields what may go on; where a call is complete
it yields the `Call` instead and is sent back None, or the text that takes the call's place. What is
not replaced passes byte by byte as it came.
"""

from firewall.toolcalls.wire.rewriter import Rewriter, Steps, rewriter_for
from firewall.toolcalls.wire.unknown import UnreadableError

__all__ = ["Rewriter", "Steps", "UnreadableError", "rewriter_for"]
