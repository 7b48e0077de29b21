"""How much there was of something within a sliding window, in bounded memory and without a clock.

Time is cut into slots, `SLOTS` of them a window, and what lies in the last `SLOTS` + 1 of them
counts. Those cover every window that ends now, so no window ever holds more than what was counted;
room comes back up to one slot (a thirtieth of the window) later than it might.
"""

from collections import OrderedDict, deque

SLOTS = 30
ITEMS = 4096
"""Different items that are kept; of more, the oldest is forgotten."""


class Sum:
    """The sum of amounts. At most `SLOTS` + 1 numbers are kept, however many were added."""

    __slots__ = ("_slot", "_slots", "_total")

    def __init__(self, seconds: float) -> None:
        self._slot = seconds / SLOTS
        self._slots: deque[tuple[int, int]] = deque()
        self._total = 0

    def used(self, now: float) -> int:
        """What counts at this moment (seconds of any clock that never goes back)."""
        self._forget(now)
        return self._total

    def cost(self, now: float, amount: int, item: str) -> int:
        """What `amount` more would add."""
        return amount

    def add(self, now: float, amount: int, item: str = "") -> None:
        """Count an amount."""
        self._forget(now)
        number = int(now / self._slot)
        earlier = self._slots.pop()[1] if self._slots and self._slots[-1][0] >= number else 0
        self._slots.append((number, earlier + amount))
        self._total += amount

    def wait(self, now: float, surplus: int) -> float:
        """The seconds until so much of it counts no more; until nothing does where it is less."""
        for number, amount in self._slots:
            surplus -= amount
            if surplus <= 0:
                return _until_end(number, self._slot, now)
        return _until_end(self._slots[-1][0], self._slot, now) if self._slots else 0.0

    def copy(self) -> "Sum":
        """Another that has counted the same."""
        copy = Sum(self._slot * SLOTS)
        copy._slots, copy._total = self._slots.copy(), self._total
        return copy

    def _forget(self, now: float) -> None:
        oldest = int(now / self._slot) - SLOTS
        while self._slots and self._slots[0][0] < oldest:
            self._total -= self._slots.popleft()[1]


class Distinct:
    """How many different items there were, up to `ITEMS`."""

    __slots__ = ("_last", "_slot")

    def __init__(self, seconds: float) -> None:
        self._slot = seconds / SLOTS
        # Hashes, since names may be long; Python's are keyed, so nobody can make two alike.
        self._last: OrderedDict[int, int] = OrderedDict()

    def used(self, now: float) -> int:
        """How many count at this moment."""
        self._forget(now)
        return len(self._last)

    def cost(self, now: float, amount: int, item: str) -> int:
        """What the item would add: nothing where it counts already."""
        self._forget(now)
        return 0 if hash(item) in self._last else 1

    def add(self, now: float, amount: int, item: str = "") -> None:
        """Count an item, which stays as long as it is seen again."""
        self._last[hash(item)] = int(now / self._slot)
        self._last.move_to_end(hash(item))
        if len(self._last) > ITEMS:
            self._last.popitem(last=False)

    def wait(self, now: float, surplus: int) -> float:
        """The seconds until so many count no more."""
        numbers = list(self._last.values())
        last = numbers[min(max(surplus, 1), len(numbers)) - 1] if numbers else None
        return 0.0 if last is None else _until_end(last, self._slot, now)

    def copy(self) -> "Distinct":
        """Another that has counted the same."""
        copy = Distinct(self._slot * SLOTS)
        copy._last = self._last.copy()
        return copy

    def _forget(self, now: float) -> None:
        oldest = int(now / self._slot) - SLOTS
        while self._last and next(iter(self._last.values())) < oldest:
            self._last.popitem(last=False)


type Window = Sum | Distinct


def slot_end(seconds: float, now: float) -> float:
    """When the slot ends, of a window of so many seconds, in which what is added now is counted."""
    slot = seconds / SLOTS
    return (int(now / slot) + 1) * slot


def _until_end(number: int, slot: float, now: float) -> float:
    """The seconds until what lies in a slot counts no more; never none, as it still counts."""
    return max((number + SLOTS + 1) * slot - now, slot / SLOTS)
