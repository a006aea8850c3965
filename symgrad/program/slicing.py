"""The part of a trace that some values are made of, as a Program of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from symgrad.program.program import Binding, Guard, Program, Step

__all__ = ["derivation_lines", "kept", "sliced"]


def sliced(
    program: Program,
    outputs: Mapping[str, int],
    *,
    inputs: Mapping[int, str] | None = None,
    opaque: Collection[int] = (),
    stops: bool = True,
) -> Program:
    """The steps that ``outputs`` need, and the choices that were made before the last of them.

    ``inputs`` are steps that become inputs, with their names; ``opaque`` are steps that nothing looked at matters of;
    without ``stops``, ``detach`` is the identity.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> y, z = b.stop(b.mul(x, x)), b.apply("exp", x)
    >>> print(sliced(b.build({}), {"y": y}, stops=False).listing())
    %0 = input() float64[]
    %1 = mul(%0, %0) float64[]
    """
    renamed = dict(inputs or {})
    guards = _choices(program, outputs, opaque)
    needed = kept(program, outputs, inputs=renamed, opaque=opaque)
    place: dict[int, int] = {}
    steps: list[Step] = []
    leaves: dict[str, int] = {}
    for i in sorted(needed):
        step = program.steps[i]
        if step.op == "stop" and not stops and i not in renamed:
            place[i] = place[step.args[0]]
            continue
        name = renamed.get(i, step.params if step.op == "input" else None)
        if name is not None:
            if name in leaves:
                place[i] = leaves[name]
                continue
            step = replace(step, op="input", args=(), params=name)
            leaves[name] = len(steps)
        else:
            step = replace(step, args=tuple(place[a] for a in step.args))
        place[i] = len(steps)
        steps.append(step)
    return Program(
        leaves,
        tuple(steps),
        {name: place[i] for name, i in outputs.items()},
        tuple(replace(b, step=place[b.step]) for b in program.bindings if b.step in needed),
        tuple(replace(g, args=tuple(place[a] for a in g.args)) for g in guards),
    )


def kept(
    program: Program,
    outputs: Mapping[str, int],
    *,
    inputs: Mapping[int, str] | None = None,
    opaque: Collection[int] = (),
) -> set[int]:
    """The steps of the program that `sliced` keeps."""
    needed: set[int] = set()
    stack = [*outputs.values(), *(a for g in _choices(program, outputs, opaque) for a in g.args)]
    while stack:
        i = stack.pop()
        if i not in needed:
            needed.add(i)
            stack += () if i in (inputs or {}) else program.steps[i].args
    return needed


def _choices(program: Program, outputs: Mapping[str, int], opaque: Collection[int]) -> list[Guard]:
    last = max(outputs.values(), default=0)
    return [g for g in program.guards if max(g.args, default=0) <= last and not any(a in opaque for a in g.args)]


def derivation_lines(program: Program, output: int) -> tuple[Binding, ...]:
    """The bindings of the derivation: those that are neither a part of the model nor another name for one."""
    model = set(program.needed([output]))

    def is_models(i: int) -> bool:
        while (
            i not in model
            and program.steps[i].op in ("name", "cast", "stop", "pick")
            and len(program.steps[i].args) == 1
        ):
            i = program.steps[i].args[0]
        return i in model

    return tuple(b for b in program.bindings if not is_models(b.step))
