"""What the parts of a script are: the output that is differentiated, its inputs, and which variables are meant as
gradients of them, by what the script itself does with them.

A variable is meant as a gradient if it is compared with autograd's, subtracted from it, printed beside it, or named so.
Nothing here decides what is true; everything is told in the report, and can be said otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from symgrad.errors import BadInput, UnknownName, close_names
from symgrad.lifting.scripts.cues import LOSSES, core
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.script_record import AutogradCall, AutogradResult, Cell, Given, Key, Leaf
from symgrad.lifting.scripts.script_tracer import ScriptTracer
from symgrad.program.program import Shape, dependencies, dependents, size

_COMPARED = ("eq", "ne", "lt", "le", "gt", "ge", "isclose", "allclose", "equal", "array_equal")
_LAYOUT = ("pick", "cast", "name", "stop", "conj", "real")
COMPARED, BESIDE, NAMED, NEAR = "compared with", "printed beside", "named as", "printed next to"
AS_TOLD = "as you said"
_STRENGTH = {COMPARED: 3, BESIDE: 2, NAMED: 2, NEAR: 1}


@dataclass(frozen=True, eq=False)
class Derivation:
    """A variable that is meant as the gradient for an input: the steps of both, and why it is taken so; ``is_minus``
    where it stands beside minus autograd's, as a force does."""

    input: str
    variable: str
    node: int
    step: int
    why: str
    autograd: AutogradResult | None
    is_minus: bool = False


@dataclass(frozen=True, eq=False)
class Roles:
    """The parts of one run."""

    output: int
    output_name: str
    call: AutogradCall | None
    inputs: Mapping[str, int]  # names of the leaves -> their steps when the output was differentiated
    derivations: tuple[Derivation, ...]
    alone: tuple[str, ...]  # inputs that nothing was found for
    assumed: str | None = None  # the loss, where the script computes none
    notes: tuple[str, ...] = ()  # what is told of other parts
    unjudged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # variables with steps of nothing known
    order: int = 1  # 2 where the derivations are of second derivatives and no call says so


# ------------------------------------------------------------------------------------------------ inputs


def leaf_names(trace: ScriptTracer) -> list[str]:
    """A name for each leaf: the variable's, a parameter's own where there is only one module."""
    found = [trace.names.get(id(leaf.tensor), "") for leaf in trace.leaves]
    modules = {name.split(".")[0] for name in found if "." in name}
    if len(modules) == 1:
        found = [name.split(".", 1)[1] if "." in name else name for name in found]
    out: list[str] = []
    present = trace.calls[-1].leaves if trace.calls else len(found)
    for k, name in enumerate(found):
        name = name or f"input {k + 1}"
        newest = k < present and name not in found[k + 1 : present]  # of a leaf that is renewed, when it mattered
        again = sum(n == name for n in found[:k])
        out.append(name if newest else f"{name} ({again + 1})")
    return out


def origins(run: ScriptRun, *, alike: bool = False) -> dict[Key, Given]:
    """The variables that hold an input: a leaf was made from them, or they were typed again for the derivation.

    With ``alike``, a number that has the value of a leaf is taken for it whatever its name is.
    """
    trace = run.trace
    found: dict[Key, Given] = {}
    names = leaf_names(trace)
    for k, leaf in enumerate(trace.leaves):
        if not leaf.fresh:
            continue
        for key in leaf.origins:
            value = trace.bound_values.get(key)
            if value is not None and _same_value(value, leaf):
                found[key] = f"leaf {k}"
            elif not leaf.parts:
                found[key] = key[0]
        for key, places in leaf.parts.items():
            if key not in found or isinstance(found[key], tuple):
                found[key] = _with_cells(trace.bound_values[key], found.get(key), places, k, leaf)
        for key, value in trace.bound_values.items():
            if key not in found and _same_value(value, leaf) and (alike or _is_twin(key[0], names[k], value)):
                found[key] = f"leaf {k}"
    return found


def _with_cells(
    value: np.ndarray, known: Given | None, places: Sequence[int], k: int, leaf: Leaf
) -> tuple[Cell | None, ...]:
    """The entries of a variable of which some are those of a leaf; what two leaves share is the first one's."""
    cells: list[Cell | None] = list(known) if isinstance(known, tuple) else [None] * value.size
    for entry, place in enumerate(places):
        cells[place] = cells[place] or Cell(f"leaf {k}", leaf.value.shape, entry, str(value.dtype))
    return tuple(cells)


def _same_value(value: np.ndarray, leaf: Leaf) -> bool:
    """Whether a value is a leaf's, once it is rounded as the leaf is; an imaginary part is nothing that is rounded."""
    kind = leaf.value.dtype if value.dtype.kind != "c" or leaf.value.dtype.kind == "c" else value.dtype
    return value.shape == leaf.value.shape and bool(np.array_equal(value.astype(kind), leaf.value))


def _is_twin(variable: str, leaf: str, value: np.ndarray) -> bool:
    """Whether equal values mean the same thing: they are many and not all alike, or the names are the same."""
    if value.size > 1 and np.unique(value).size > 1:
        return True
    return core(variable) == core(leaf)


# ------------------------------------------------------------------------------------------------ the output


def _output(run: ScriptRun, wanted: str | None) -> tuple[int, str, AutogradCall | None]:
    trace = run.trace
    opaque = dependents(trace.builder.steps, trace.opaque)
    calls = [c for c in trace.calls if c.output not in opaque] or trace.calls
    if wanted is not None:
        named = [c for c in calls if called_so(c) == wanted]
        if named:
            call = _first_of_loop(named, named[-1])
            return call.output, wanted, call
        bound = [b for b in trace.builder.bindings if b.name == wanted and b.step not in opaque]
        if not bound:
            known = list(dict.fromkeys([*(c.name for c in calls if c.name), *(b.name for b in trace.builder.bindings)]))
            near = close_names(wanted, known)
            raise UnknownName(f"output names {wanted!r}, but the script computes no {wanted!r}.", instead=near or None)
        step = bound[-1].step
        if trace.builder.shape(step):
            step = trace.builder.sum(step)
        return step, wanted, None
    names = outputs(trace)
    if len(names) > 1:
        told = [f"    line {c.line}    {c.kind} of {name}" for name, c in names.items()]
        first = next(iter(c.name for c in names.values() if c.name), "loss")
        raise BadInput(
            "several outputs are differentiated, and nothing says which one the derivation is for.",
            where="\n".join(told),
            instead=f"Say which one: output={first!r}.",
        )
    call = _first_of_loop(calls, calls[-1])
    return call.output, call.name or "the output", call


def _first_of_loop(calls: Sequence[AutogradCall], call: AutogradCall) -> AutogradCall:
    """The first of the calls of a library that differentiates a function in a line: what it is given is new then."""
    if call.question is None:
        return call
    return next(c for c in calls if c.question is not None and (c.line, c.name) == (call.line, call.name))


def outputs(trace: ScriptTracer) -> dict[str, AutogradCall]:
    """The values that are differentiated, by name, each with a call for it."""
    opaque = dependents(trace.builder.steps, trace.opaque)
    calls = [c for c in trace.calls if c.output not in opaque] or trace.calls
    return {called_so(c): c for c in calls}


def called_so(call: AutogradCall) -> str:
    """What the output of a call is called, by its line where it is no variable."""
    return call.name or f"the output of line {call.line}"


# ------------------------------------------------------------------------------------------------ gradients


def find_roles(
    run: ScriptRun,
    *,
    output: str | None = None,
    wrt: Sequence[str] | None = None,
    gradients: Mapping[str, str | Sequence[str]] | None = None,
) -> Roles:
    """Find the output, the inputs and the gradients, or take those that are named.

    Raises `BadInput` where the script does not tell, `UnknownName` for a name that it does not have.
    """
    trace = run.trace
    step, name, call = _output(run, output)
    names = dict(zip(leaf_names(trace), trace.leaves, strict=True))
    needed = dependencies(trace.builder.steps, [step])
    inputs: dict[str, int] = {}
    for k, (leaf_name, leaf) in enumerate(names.items()):
        if call is not None and (id(leaf.tensor) not in call.nodes or k >= call.leaves):
            continue
        node = call.nodes.get(id(leaf.tensor), leaf.step) if call is not None else leaf.step
        newest = call is None or not any(o.tensor is leaf.tensor for o in trace.leaves[k + 1 : call.leaves])
        if node in needed and newest:
            inputs[leaf_name] = node
    of_nodes = {node: n for n, node in inputs.items()}
    for r in trace.results:  # what grad was given may be a value on the way
        if r.node not in of_nodes and r.node in needed and trace.calls[r.call].is_of(call):
            own = trace.key_of.get(r.node, (trace.names.get(id(r.tensor), ""),))[0]
            if own:
                of_nodes[r.node] = own
                inputs.setdefault(own, r.node)
    asked = list(gradients) if gradients is not None else list(wrt) if wrt is not None else None
    for n in asked or ():
        if n not in inputs:
            near = close_names(n, inputs)
            raise UnknownName(f"{n!r} is no input of {name}; these are: {', '.join(inputs)}.", instead=near or None)
    if gradients is not None:
        found = list(_as_told(trace, inputs, gradients))
    else:
        found = _best(trace, [d for d in _evidence(trace, name, inputs, call) if asked is None or d.input in asked])
    if not found:
        raise _none_found(trace, name, inputs)
    found = [replace(d, step=trace.made(d.step)) for d in found]
    found = [_minus(trace, d) if d.is_minus else d for d in found]
    told = {d.input for d in found}
    alone = tuple(n for n in inputs if n not in told and (asked is None or n in asked) and n in names)
    return Roles(step, name, call, inputs, tuple(found), alone)


def _as_told(
    trace: ScriptTracer, inputs: Mapping[str, int], gradients: Mapping[str, str | Sequence[str]]
) -> Iterator[Derivation]:
    of = {r.node: r for r in trace.results}
    for name, variables in gradients.items():
        for variable in [variables] if isinstance(variables, str) else variables:
            bound = [b for b in trace.builder.bindings if b.name == variable]
            plain = [v for (n, *_), v in trace.bound_values.items() if n == variable]
            if not bound and plain:
                raise BadInput(
                    f"{variable} is a plain number, {plain[-1]}, that is not computed from {name}.",
                    instead="A number alone can be judged with verify(model, numbers, at=...).",
                )
            if not bound:
                known = {b.name for b in trace.builder.bindings}
                near = close_names(variable, known)
                raise UnknownName(
                    f"gradients names {variable!r}, but the script computes no {variable!r}.", instead=near or None
                )
            yield Derivation(name, variable, inputs[name], bound[-1].step, AS_TOLD, of.get(inputs[name]))


def _evidence(
    trace: ScriptTracer, output: str, inputs: Mapping[str, int], call: AutogradCall | None
) -> Iterator[Derivation]:
    results = {r.step: r for r in trace.results if trace.calls[r.call].is_of(call)}
    opaque = dependents(trace.builder.steps, trace.opaque)
    names = {node: n for n, node in inputs.items()}
    of = {r.node: r for r in results.values()}

    def pair(left: int, right: int, why: str) -> Iterator[Derivation]:
        for a, b in ((left, right), (right, left)):
            r = results.get(base(trace, a))
            if r is not None and b not in opaque and r.node in names:
                step = _variable(trace, b, trace.builder.shape(r.step))
                key = trace.key_of.get(step)
                label = key[0] if key is not None else _called(trace, step)
                yield Derivation(names[r.node], label, r.node, step, why, r, _is_minus(trace, a))

    for step in trace.builder.steps:
        if step.op == "sub":
            yield from pair(step.args[0], step.args[1], COMPARED)
    for guard in trace.builder.guards:
        if guard.op in _COMPARED and len(guard.args) == 2:
            yield from pair(guard.args[0], guard.args[1], COMPARED)
    for left, right in trace.compared:
        yield from pair(left, right, COMPARED)
    lines: dict[int | None, list[int]] = {}
    for line, step in trace.shows:
        lines.setdefault(line, []).append(step)
    groups = list(lines.values())
    for k, group in enumerate(groups):
        for i, a in enumerate(group):
            for b in group[i + 1 :]:
                yield from (d for d in pair(a, b, BESIDE) if _is_plausible(trace, d))
        for a in group:
            for b in groups[k + 1] if k + 1 < len(groups) else ():
                yield from (d for d in pair(a, b, NEAR) if _is_plausible(trace, d))
    bound = {b.name: b.step for b in trace.builder.bindings}
    given = {node: of[node].step if node in of else node for node in inputs.values()}  # what has a gradient's shape
    for name, node in inputs.items():
        for variable, step in bound.items():
            fits = step not in opaque and _fits(trace.builder.shape(step), trace.builder.shape(given[node]))
            if fits and _names_gradient(variable, name, output, inputs):
                yield Derivation(name, variable, node, step, NAMED, of.get(node))


def base(trace: ScriptTracer, i: int) -> int:
    """The step that ``i`` only lays out, casts or names."""
    steps = trace.builder.steps
    while steps[i].op in (*_LAYOUT, "neg") and len(steps[i].args) == 1:
        i = steps[i].args[0]
    return i


def _is_returned(trace: ScriptTracer, i: int) -> bool:
    """Whether a function gave the value, which may be what the function was given: the gradient of r**2/2 is r."""
    while i not in trace.returns and trace.builder.steps[i].op in ("name", "cast", "stop"):
        i = trace.builder.steps[i].args[0]
    return i in trace.returns


def _is_minus(trace: ScriptTracer, i: int) -> bool:
    """Whether a step is minus what it only lays out, casts or names."""
    steps, minus = trace.builder.steps, False
    while steps[i].op in (*_LAYOUT, "neg") and len(steps[i].args) == 1:
        minus ^= steps[i].op == "neg"
        i = steps[i].args[0]
    return minus


def _minus(trace: ScriptTracer, d: Derivation) -> Derivation:
    """Minus a variable, as what is meant as the gradient."""
    b, label = trace.builder, f"-{d.variable}"
    b.source = b.steps[d.step].source
    return replace(d, variable=label, step=b.name(b.neg(d.step), label))


def _variable(trace: ScriptTracer, i: int, shape: Shape) -> int:
    """The variable that was compared, where only its layout was changed for that; else the compared value itself."""
    steps, here = trace.builder.steps, i
    while here not in trace.key_of and steps[here].op in _LAYOUT and len(steps[here].args) == 1:
        here = steps[here].args[0]
    if here in trace.key_of and (
        _squeezed(steps[here].shape) == _squeezed(shape) or size(steps[i].shape) != size(shape)
    ):
        return here
    return i


def _called(trace: ScriptTracer, step: int) -> str:
    """What a value without a name is called: the function that gave it, or its line."""
    found = (e.path for e in trace.events if "()" in e.path and base(trace, e.step) == base(trace, step))
    return next(found, f"line {_line_of(trace, step)}")


def _squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _fits(mine: Shape, wanted: Shape) -> bool:
    return _squeezed(mine) in (_squeezed(wanted), _squeezed(wanted)[::-1])


def _is_plausible(trace: ScriptTracer, d: Derivation) -> bool:
    """Whether a value that is printed near autograd's may be meant as a gradient: it fits, and is named so or close."""
    if not _fits(trace.builder.shape(d.step), trace.builder.shape(d.node if d.autograd is None else d.autograd.step)):
        return False
    is_input = trace.builder.steps[base(trace, d.step)].op == "input" and not _is_returned(trace, d.step)
    if is_input or d.step in dependencies(trace.builder.steps, [trace.calls[-1].output]):
        return False  # a part of the model
    word = d.variable.lower()
    mine, own = trace.value_at.get(d.step), d.autograd.value if d.autograd is not None else None
    if mine is not None and own is not None and mine.size == own.size:
        with np.errstate(all="ignore"):
            if np.abs(np.ravel(mine) - np.ravel(own)).max() <= 1e-2 * np.abs(own).max() or mine.size > 1:
                return True
    if d.why == BESIDE and any(part in word for part in ("calc", "manual", "hand")):
        return True
    if d.why == BESIDE and d.step not in trace.key_of:
        return True  # what a call gives is printed with autograd's gradient
    return bool(re.match(r"d(?![aeiou][a-z]{2,})|.*grad|g_|.*deriv|nabla|.*jac|.*_d(?=\w)", word))


def _names_gradient(variable: str, name: str, output: str, inputs: Mapping[str, int]) -> bool:
    """Whether a variable is called as the gradient of the output for an input is: dW, dL_dW, grad_W, W_grad."""
    if any(core(variable) == core(n) for n in inputs):
        return False
    v, out = core(variable), core(output)
    last = name.rsplit(".", 1)[-1]
    for x in {core(name), *([core(last)] if sum(n.endswith(last) for n in inputs) == 1 else [])}:
        if v in (f"d{x}", f"grad{x}", f"{x}grad", f"g{x}", f"grad{out}{x}", f"deriv{x}", f"delta{x}", f"nabla{x}"):
            return True
        if v.startswith("d") and v.endswith(f"d{x}") and v[1 : -len(x) - 1] in {*LOSSES, out}:
            return True
    return False


def _best(trace: ScriptTracer, found: list[Derivation]) -> list[Derivation]:
    """The strongest evidence for each pair; weak evidence only for inputs that have no better."""
    out: dict[tuple[str, str], Derivation] = {}
    for d in found:
        old = out.get((d.input, d.variable))
        better = old is None or _STRENGTH[d.why] > _STRENGTH[old.why]
        if better or (old is not None and _STRENGTH[d.why] == _STRENGTH[old.why] and d.step > old.step):
            out[d.input, d.variable] = d
    strong = {d.input for d in out.values() if _STRENGTH[d.why] > 1}
    taken = {d.variable for d in out.values() if _STRENGTH[d.why] > 1}
    kept = [d for d in out.values() if _STRENGTH[d.why] > 1 or (d.input not in strong and d.variable not in taken)]
    return sorted((d for d in kept if not _is_alias(trace, d, kept)), key=lambda d: (d.node, d.step))


def _is_alias(trace: ScriptTracer, d: Derivation, others: Sequence[Derivation]) -> bool:
    """Whether a variable is another name for one that is judged anyway."""
    steps, i = trace.builder.steps, d.step
    while steps[i].op in ("name", "cast", "stop"):
        i = steps[i].args[0]
        if any(o is not d and o.input == d.input and o.step == i for o in others):
            return True
    return False


def _line_of(trace: ScriptTracer, step: int) -> int | None:
    source = trace.builder.steps[step].source
    return source.line if source is not None else None


def _none_found(trace: ScriptTracer, output: str, inputs: Mapping[str, int]) -> BadInput:
    opaque = dependents(trace.builder.steps, trace.opaque)
    opaque |= dependencies(trace.builder.steps, [trace.calls[-1].output]) if trace.calls else set()
    fits = [
        b.name
        for b in trace.builder.bindings
        if b.step not in opaque
        and trace.builder.steps[base(trace, b.step)].op != "input"
        and any(_fits(trace.builder.shape(b.step), trace.builder.shape(n)) for n in inputs.values())
    ]
    listed = ", ".join(list(dict.fromkeys(reversed(fits)))[:8])
    name = next(iter(inputs), "W")
    told = f" The variables of a fitting shape are: {listed}." if listed else ""
    if not inputs:
        return BadInput(
            f"{output} depends on no tensor that requires a gradient.",
            instead="Make the inputs with requires_grad=True, and compute the output from them.",
        )
    say = f"Say which one it is: gradients={{{name!r}: {fits[-1]!r}}}." if fits else ""
    return BadInput(
        f"no variable was found that is meant as a gradient of {output} for {', '.join(inputs)}.{told}",
        instead=say or f"Compute one, and call it d{name.replace('.', '_')}, or print it beside {name}.grad.",
    )
