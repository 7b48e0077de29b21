"""What `@frozen` makes is what the standard library's frozen dataclasses are, but for its price."""

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from firewall.frozen import frozen


def made(decorate: Callable[[type], type]) -> Any:
    class Value:
        """One of each kind of field."""

        name: str
        size: int = 7
        secret: str = field(default="", repr=False)
        source: str = field(default="", compare=False)
        more: Mapping[str, int] = field(default_factory=dict, compare=False)

        @property
        def double(self) -> int:
            return 2 * self.size

    return decorate(Value)


Standard = made(dataclass(frozen=True, slots=True))
Ours = made(frozen)

arguments = st.tuples(st.sampled_from("ab"), st.integers(0, 2), *[st.sampled_from("xy")] * 2)


@given(arguments, arguments)
def test_values_are_equal_where_the_standard_librarys_are(
    one: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    assert (Ours(*one) == Ours(*other)) == (Standard(*one) == Standard(*other))
    assert hash(Ours(*one)) == hash(Standard(*one))
    assert repr(Ours(*one)) == repr(Standard(*one))
    assert asdict(Ours(*one)) == asdict(Standard(*one))


def test_calls_are_those_of_the_standard_library() -> None:
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (("a", 1, "", "", {}, 2), {}),
        (("a",), {"no": 1}),
    ]
    for positional, named in wrong:
        said = []
        for kind in (Standard, Ours):
            with pytest.raises(TypeError) as caught:
                kind(*positional, **named)
            said.append(str(caught.value))
        assert said[0] == said[1]
    assert asdict(Ours("a", source="s")) == asdict(Standard("a", source="s"))
    assert Ours("a").more is not Ours("a").more, "each has a mapping of its own"


def test_it_does_not_change() -> None:
    value = Ours("a")
    with pytest.raises(FrozenInstanceError, match="'size'"):
        value.size = 8
    with pytest.raises(FrozenInstanceError, match="'size'"):
        del value.size
    with pytest.raises(FrozenInstanceError, match="'other'"):
        value.other = 1
    assert value == Ours("a")
    assert not hasattr(value, "__dict__")


def test_dataclasses_and_pydantic_take_it_for_theirs() -> None:
    kind: Any = Ours
    value: Any = replace(Ours("a"), size=3)
    assert value.double == 6
    assert dataclasses.is_dataclass(Ours)
    assert [each.name for each in fields(value)] == [each.name for each in fields(Standard)]
    assert kind.__match_args__ == tuple(each.name for each in fields(Ours))
    assert TypeAdapter(Ours).validate_python({"name": "a", "size": 3}) == value
    assert TypeAdapter(Ours).dump_python(value) == asdict(value)


@frozen
class Plain:
    """One that can be pickled: it has a name in its module."""

    name: str
    parts: tuple[int, ...] = ()


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_copies_are_equal(again: Callable[[Plain], Plain]) -> None:
    assert again(Plain("a", (1,))) == Plain("a", (1,))


def test_what_a_class_says_itself_stays() -> None:
    @frozen
    class Named:
        """Equal by name, whatever its case."""

        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and other.name.lower() == self.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

        def __repr__(self) -> str:
            return f"<{self.name}>"

    assert {Named("A"), Named("a")} == {Named("a")}
    assert repr(Named("A")) == "<A>"
