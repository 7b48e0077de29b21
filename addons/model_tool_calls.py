"""Judges the tool calls in the answers of model APIs, where a rule says `tool-calls: inspect`:

mitmdump -s addons/egress.py -s addons/model_tool_calls.py --set policy=...
"""

from firewall.toolcalls.wire.addon import ModelToolCalls

addons = [ModelToolCalls()]
