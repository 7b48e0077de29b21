"""Many machines, one policy: signed bundles go out through NATS JetStream, reports come back.

NATS only carries. What a node takes is decided by the signature, the group and the version of a
bundle, so whoever can publish but cannot sign is refused, and told of.
"""
