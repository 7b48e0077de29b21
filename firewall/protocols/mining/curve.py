"""The curve secp256k1 (SEC 2 version 2, section 2.4.1), on which coins keep their keys."""

_PRIME = 2**256 - 2**32 - 977


def is_on_curve(point: bytes) -> bool:
    """Whether the 64 bytes x and y satisfy y**2 = x**3 + 7; random ones never do."""
    x, y = int.from_bytes(point[:32]), int.from_bytes(point[32:])
    return x < _PRIME and y < _PRIME and (y * y - x * x * x - 7) % _PRIME == 0
