"""The hash tree over a log's checkpoints (RFC 6962 section 2.1), grown a leaf at a time."""

import hashlib
from collections.abc import Iterable

type Hash = bytes


def leaf_hash(entry: bytes) -> Hash:
    """The hash of one entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The roots of the full subtrees that a tree of `size` leaves falls into, largest first.

    They are all that it takes to add leaves and to name the root: one for each bit set in `size`.
    """

    def __init__(self, size: int = 0, roots: Iterable[Hash] = ()) -> None:
        """A tree that stands already. Raises ValueError where the roots are not as many as due."""
        self.size = size
        self.roots = list(roots)
        if len(self.roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees")

    def add(self, leaf: Hash) -> None:
        """Append a leaf by its hash."""
        self.roots.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.roots.pop()
            self.roots.append(node_hash(self.roots.pop(), right))

    def root(self) -> Hash:
        """The hash that stands for all leaves."""
        if not self.roots:
            return hashlib.sha256(b"").digest()
        *rest, root = self.roots
        for left in reversed(rest):
            root = node_hash(left, root)
        return root
