"""The tree against the definition of RFC 6962, leaf by leaf."""

import hashlib

import pytest

from firewall.audit.merkle import Tree, leaf_hash, node_hash


def root(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return node_hash(root(entries[:split]), root(entries[split:]))


def test_every_size_has_the_root_of_the_definition() -> None:
    tree, entries = Tree(), []
    assert tree.root() == root([])
    for number in range(70):
        entries.append(b"entry %d" % number)
        tree.add(leaf_hash(entries[-1]))
        assert (tree.size, tree.root()) == (len(entries), root(entries))


def test_a_tree_goes_on_from_its_roots() -> None:
    tree = Tree()
    for number in range(11):
        tree.add(leaf_hash(b"%d" % number))
    again = Tree(tree.size, tree.roots)
    for each in (tree, again):
        each.add(leaf_hash(b"more"))
    assert again.root() == tree.root()


def test_published_roots() -> None:
    """The first entries and roots of the test data of Certificate Transparency's own log."""
    tree = Tree()
    for entry, known in (
        ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ):
        tree.add(leaf_hash(bytes.fromhex(entry)))
        assert tree.root().hex() == known


def test_roots_that_do_not_fit_the_size() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 full subtrees"):
        Tree(3, [b""])
