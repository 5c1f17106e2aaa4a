"""A machine for the few pickle instructions that plain data needs. It calls nothing: a global is only ever a name.

Python's own unpickler with a strict `find_class` is not enough: its BUILD sets attributes on whatever the allowed names
give, for the life of the process. Here an instruction that is not in the table is refused, and so is a call that the
given `calls` do not answer for.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown

MAX_INSTRUCTIONS = 1_000_000
_LARGEST_KEY = 2**31  # as a key of a dictionary: larger whole numbers can be chosen to collide

Call = Callable[[tuple[Any, ...]], Any]


@dataclass(frozen=True)
class Global:
    """The name of a function, class or constant, never the thing."""

    name: str


def read_pickle(data: bytes, calls: Mapping[str, Call], constants: frozenset[str], persistent: Call) -> Any:
    """Return the plain data of a pickle.

    `calls` says what calling a global of this name gives, `constants` which globals stand for themselves, and
    `persistent` what a reference to something outside the pickle is. Raises Unsafe for everything else.
    """
    machine = _Machine(data, calls, constants, persistent)
    try:
        return machine.run()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Damaged("holds a pickle that is damaged") from None


@dataclass
class _Machine:
    data: bytes
    calls: Mapping[str, Call]
    constants: frozenset[str]
    persistent: Call
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    marked: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Any:
        for _ in range(MAX_INSTRUCTIONS):
            code = self.data[self.at]
            self.at += 1
            if code == _STOP:
                self._expect(len(self.stack) == 1 and not self.marked)
                return self.stack[0]
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Unsafe(
                    f"holds a pickle with the instruction {_called(code)}, which plain weights never need"
                )
            instruction(self)
        raise TooLarge(f"holds a pickle of more than {MAX_INSTRUCTIONS} instructions")

    # Arguments that stand in the bytes

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        self._expect(len(taken) == count)
        self.at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 1000)
        self._expect(end >= 0)
        text = self.take(end - self.at)
        self.at += 1
        return text.decode("utf-8")

    # What instructions do

    def skip(self, count: int) -> None:
        self.take(count)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        self._expect(len(self.stack) >= count)
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def drop(self) -> None:
        self.last(1)

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def get(self, key: int) -> None:
        self.push(self.memo[key])

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        self._expect(type(target) is dict and len(items) % 2 == 0)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (type(key) is str or (type(key) is int and abs(key) < _LARGEST_KEY)):
                raise Unsupported("holds a dictionary whose keys are neither names nor small whole numbers")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        self._expect(type(target) is list)
        target.extend(items)

    def push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self.calls and full not in self.constants:
            raise Unsafe(
                f"refers to {shown(full)}, which would have to be imported and run; "
                "save only model.state_dict(), or safetensors"
            )
        self.push(Global(full))

    def stack_global(self) -> None:
        module, name = self.last(2)
        self._expect(type(module) is str and type(name) is str)
        self.push_global(module, name)

    def call(self) -> None:
        target, arguments = self.last(2)
        self._expect(type(target) is Global and type(arguments) is tuple)
        if target.name not in self.calls:
            raise Unsafe(f"calls {shown(target.name)}, which is never called here")
        self.push(self.calls[target.name](arguments))

    def build(self) -> None:
        """Drop the attributes of a dictionary (a state dict's `_metadata`); nothing else here has any."""
        self.last(1)
        if type(self.stack[-1]) is not dict:
            raise Unsafe("holds a pickle that sets attributes, which plain weights never need")

    def refer(self) -> None:
        (reference,) = self.last(1)
        self._expect(type(reference) is tuple)
        self.push(self.persistent(reference))

    def _expect(self, condition: bool) -> None:
        if not condition:
            raise Damaged("holds a pickle that is damaged")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _called(code: int) -> str:
    names = (opcode.name for opcode in pickletools.opcodes if opcode.code == chr(code))
    return next(names, f"0x{code:02x}")


_STOP = ord(".")

_INSTRUCTIONS: dict[int, Callable[[_Machine], None]] = {
    0x80: lambda machine: machine.skip(1),  # PROTO
    0x95: lambda machine: machine.skip(8),  # FRAME
    ord("("): lambda machine: machine.mark(),
    ord("0"): lambda machine: machine.drop(),
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("K"): lambda machine: machine.push(machine.number(1)),
    ord("M"): lambda machine: machine.push(machine.number(2)),
    ord("J"): lambda machine: machine.push(_signed(machine.take(4))),
    0x8A: lambda machine: machine.push(_signed(machine.take(machine.number(1)))),  # LONG1
    ord("G"): lambda machine: machine.push(struct.unpack(">d", machine.take(8))[0]),
    0x8C: lambda machine: machine.push(machine.take(machine.number(1)).decode("utf-8")),
    ord("X"): lambda machine: machine.push(machine.take(machine.number(4)).decode("utf-8")),
    ord("}"): lambda machine: machine.push({}),
    ord("]"): lambda machine: machine.push([]),
    ord(")"): lambda machine: machine.push(()),
    ord("t"): lambda machine: machine.push(tuple(machine.since_mark())),
    0x85: lambda machine: machine.push(machine.last(1)),
    0x86: lambda machine: machine.push(machine.last(2)),
    0x87: lambda machine: machine.push(machine.last(3)),
    ord("d"): lambda machine: _new(machine, {}, _Machine.set_items),  # DICT
    ord("l"): lambda machine: _new(machine, [], _Machine.append),  # LIST
    ord("s"): lambda machine: machine.set_items(list(machine.last(2))),
    ord("u"): lambda machine: machine.set_items(machine.since_mark()),
    ord("a"): lambda machine: machine.append(list(machine.last(1))),
    ord("e"): lambda machine: machine.append(machine.since_mark()),
    ord("q"): lambda machine: machine.put(machine.number(1)),
    ord("r"): lambda machine: machine.put(machine.number(4)),
    0x94: lambda machine: machine.put(len(machine.memo)),  # MEMOIZE
    ord("h"): lambda machine: machine.get(machine.number(1)),
    ord("j"): lambda machine: machine.get(machine.number(4)),
    ord("c"): lambda machine: machine.push_global(machine.line(), machine.line()),
    0x93: lambda machine: machine.stack_global(),
    ord("R"): lambda machine: machine.call(),
    ord("b"): lambda machine: machine.build(),
    ord("Q"): lambda machine: machine.refer(),
}
"""Instruction -> what it does (`pickletools` documents each). Those that import, call or build more are absent."""


def _new(machine: _Machine, empty: Any, fill: Callable[[_Machine, list[Any]], None]) -> None:
    items = machine.since_mark()
    machine.push(empty)
    fill(machine, items)
