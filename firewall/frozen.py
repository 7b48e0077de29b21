"""Frozen values: what `@dataclass(frozen=True, slots=True)` makes, for a quarter of the time.

The standard library compiles six methods for each class, which takes more than half a millisecond:
with the 150 classes that `firewall run` needs, a sixth of its start. Only `__init__` has to be
compiled, so that calls are as quick as they can be; the rest is the same for all classes but for
the names of their fields.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, dataclass_transform

type _Names = tuple[str, ...]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen[T](cls: type[T]) -> type[T]:
    """Make a class of annotated fields one of values: its instances do not change, and are equal
    where their class and all their fields are. `dataclasses` takes them for its own.

    What the class defines itself stays. Of `field` it knows default, default_factory, repr and
    compare.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in _methods(made).items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    its: type[T] = made
    return its


def _methods(cls: Any) -> dict[str, Callable[..., Any]]:
    whole = _values(tuple(each.name for each in fields(cls)))
    compared = _values(tuple(each.name for each in fields(cls) if each.compare))
    shown = tuple(each.name for each in fields(cls) if each.repr)

    def equals(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    def text(self: Any) -> str:
        parts = (f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({', '.join(parts)})"

    return {
        "__init__": _initialiser(cls),
        "__eq__": equals,
        "__hash__": lambda self: hash(compared(self)),
        "__repr__": text,
        "__reduce__": lambda self: (self.__class__, whole(self)),  # else copies would be set
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }


def _values(names: _Names) -> Callable[[Any], tuple[Any, ...]]:
    """What gets the values of these fields."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _initialiser(cls: Any) -> Callable[..., None]:
    """`__init__`, which sets the slots by their descriptors, past `__setattr__`."""
    scope: dict[str, Any] = {"MISSING": MISSING}
    parameters, body = ["self"], ["pass"]
    for each in fields(cls):
        scope[f"set_{each.name}"] = getattr(cls, each.name).__set__
        parameters.append(each.name + _default(each, scope))
        body.append(f"set_{each.name}(self, {_given(each)})")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body), scope)  # noqa: S102
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _default(each: Field[Any], scope: dict[str, Any]) -> str:
    if each.default_factory is not MISSING:
        scope[f"make_{each.name}"] = each.default_factory
        return "=MISSING"
    if each.default is MISSING:
        return ""
    scope[f"default_{each.name}"] = each.default
    return f"=default_{each.name}"


def _given(each: Field[Any]) -> str:
    if each.default_factory is MISSING:
        return each.name
    return f"make_{each.name}() if {each.name} is MISSING else {each.name}"


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
