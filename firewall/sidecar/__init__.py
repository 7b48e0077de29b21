"""A gate beside the agent, in the network namespace that both share, such as a pod's.

Here is a route out, so nftables stands in it. Rules are made once, by who may (`rules`); the gate
then needs no capability at all. Therefore connections are redirected and not given to transparent
listeners as in a sandbox: IP_TRANSPARENT needs CAP_NET_RAW, which no container gives to a user
that is not root. What a redirected TCP connection was meant for, conntrack tells anybody who holds
it (SO_ORIGINAL_DST). Of UDP only questions for names are answered, and conntrack takes care of
the answer's address.
"""

UID = 64100
"""The gate's usual user: none that images or other sidecars are known to use."""
