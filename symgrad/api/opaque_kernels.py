"""Kernels that cannot be followed, beside a reference that can: run as black boxes, at the sizes and layouts where
kernels break, and held to what rounding can do in any order of summation.

Nothing is known of such a kernel but what it returns.  The exact values and derivatives are those of the reference;
a number of the kernel's is wrong where it is further off than a stable computation in its dtype can be.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from symgrad.checking.exploration import Findings
from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Agrees, Refuted, Undecided, Verdict
from symgrad.errors import BadInput, NoPoint, SymgradError, UnknownName, UserCodeFailed, close_names
from symgrad.problem.arguments import dtype_name, is_shape, plain_point
from symgrad.problem.question import Asked, Problem, pose
from symgrad.problem.sampling import draw
from symgrad.problem.shapes import Shapes, named_shapes
from symgrad.report.report import Report
from symgrad.report.wording import counted, listed
from symgrad.verifier import answer

_LENGTHS = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)  # where no tile is named
_ENTRIES = 20_000  # of all inputs of one run
_WIDE = 64.0  # what large values are multiplied by: exp overflows where nothing was subtracted before it
_LOST = "float64"  # how it is known that a kernel loses its digits
_GRADIENTS = ""  # the question about them, beside those about outputs


@dataclass(frozen=True, eq=False)
class _Trial:
    """One run: what is special about it, in words or by its sizes, and the tensors as they lie in memory."""

    what: str
    tensors: Mapping[str, torch.Tensor]
    sizes: Mapping[str, int] = field(default_factory=dict)
    spread: bool = False  # whether the cotangents are one number, spread over the output, as ``sum()`` makes them


@dataclass(frozen=True, eq=False)
class _Judged:
    """What one run said of an output, or of all gradients."""

    trial: _Trial
    problem: Problem
    found: Findings

    @property
    def verdicts(self) -> dict[str, Any]:
        return {self.problem.labels.get(n, n): v for n, v in self.found.verdicts.items()}


@dataclass(frozen=True, eq=False)
class _Kernel:
    """The black box and its reference, the names of their arguments, and which of these are no tensors of floats."""

    run: Callable[..., Any]
    reference: Callable[..., Any]
    names: tuple[str, ...]
    others: Mapping[str, Any]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[n] if n in values else self.others[n] for n in self.names]

    def outputs(self, values: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
        return _tensors(self.run(*self.arguments(values)))

    def output_of_reference(self, k: int, tensors: Sequence[str]) -> Callable[..., Any]:
        """Output ``k`` of the reference, as a function of the tensors."""
        return _signed(lambda **given: _tensors(self.reference(*self.arguments(given)))[k], tensors)

    def seeded_reference(self, cotangents: Mapping[int, str], tensors: Sequence[str]) -> Callable[..., Any]:
        """The reference's outputs times cotangents, summed, as a function of both."""

        def total(**given: Any) -> Any:
            outs = _tensors(self.reference(*self.arguments(given)))
            return sum((given[v] * outs[k]).sum() for k, v in cotangents.items())

        return _signed(total, [*tensors, *cotangents.values()])


def judge_kernel(
    kernel: Any, reference: Callable[..., Any], at: Any, asked: Asked, tile: int | Mapping[str, int] | None, device: Any
) -> Report:
    """The report on a kernel beside its reference; the arguments are those of `verify_function`."""
    run = kernel.apply if isinstance(kernel, type) and issubclass(kernel, torch.autograd.Function) else kernel
    names = _names(reference)
    at, others = _split(names, reference, at)
    black_box = _Kernel(run, reference, tuple(n for n in names if n in at or n in others), others)
    shapes, _ = named_shapes(at, {})
    trials = _trials(at, shapes, asked, tile, device)
    judged: dict[str, list[_Judged]] = {}
    failed: list[tuple[_Trial, str]] = []
    for trial in trials:
        try:
            for name, problem in _problems(black_box, trial, asked):
                found = _in_double(black_box, trial, asked, name, problem, judge(problem))
                judged.setdefault(name, []).append(_Judged(trial, problem, found))
        except UserCodeFailed as error:
            failed.append((trial, error.what))
        except NoPoint as error:  # zeros, say, of what is divided by
            failed.append((trial, f"the reference has no value or no derivative: {error.what.rpartition(': ')[2]}"))
    if not judged:
        raise UserCodeFailed(failed[0][1], where=f"    at {failed[0][0].what}")
    where = min(itertools.chain.from_iterable(judged.values()), key=_how_bad).trial
    chosen = [_shown_at(where, judged[n]) for n in sorted(judged)]  # the gradients first
    told = tuple(_told(judged, failed))
    problems = [replace(j.problem, notes=told if k == 0 else ()) for k, j in enumerate(chosen)]
    return answer(*problems, findings=[j.found for j in chosen])


def worst_of_outputs(
    kernel: Any, reference: Any, at: Any, asked: Asked, tile: int | Mapping[str, int] | None
) -> Verdict:
    """The worst verdict on what a kernel returns beside a reference; no derivative is asked for."""

    def values(*arguments: Any) -> Any:
        with torch.no_grad():
            return kernel(*(x.detach() if isinstance(x, torch.Tensor) else x for x in arguments))

    claims = judge_kernel(values, reference, at, asked, tile, None).claims.values()
    return min((c.verdict for c in claims), key=lambda verdict: _ORDER.index(verdict.kind))


# ------------------------------------------------------------------------------------------------ arguments


def _names(reference: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(reference).parameters)
    except (TypeError, ValueError):
        called = getattr(reference, "__name__", None)
        raise BadInput(
            f"the reference is {f'{called}, a function' if called else f'a {type(reference).__name__}'} whose "
            "arguments have no names.",
            instead=f"Give them names: reference=lambda x: {called or 'f'}(x).",
        ) from None


def _split(names: Sequence[str], reference: Callable[..., Any], at: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is a tensor of floats or a shape, and everything else, by the reference's names."""
    if not isinstance(at, Mapping):
        values = [at] if isinstance(at, (torch.Tensor, np.ndarray)) else list(at)
        at = dict(zip(names, values, strict=False))
    at = dict(plain_point(at) or {})
    for n in at:
        if n not in names:
            raise UnknownName(
                f"at has {n!r}, but the reference's arguments are {', '.join(names)}.",
                instead=close_names(n, names) or None,
            )
    defaults = {n: p.default for n, p in inspect.signature(reference).parameters.items() if p.default is not p.empty}
    missing = [n for n in names if n not in at and n not in defaults]
    if missing:
        raise BadInput(f"at has no value for {', '.join(missing)}.", instead=f"Pass at={{{missing[0]!r}: (3,)}}.")
    floats = {n: v for n, v in at.items() if is_shape(v, names=True) or _is_float(v)}
    if not floats:
        raise BadInput(
            "at has no tensor of floats.", instead="Pass tensors, arrays or shapes for the kernel's tensors."
        )
    last = max(k for k, n in enumerate(names) if n in at)  # behind it, both have their own defaults
    return floats, {n: at.get(n, defaults.get(n)) for n in names[: last + 1] if n not in floats}


def _is_float(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.is_floating_point()
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _tensors(out: Any) -> tuple[torch.Tensor, ...]:
    return tuple(out) if isinstance(out, (tuple, list)) else (out,)


def _signed(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    return function


# ------------------------------------------------------------------------------------------------ where it is run


def _trials(
    at: Mapping[str, Any], shapes: Shapes | None, asked: Asked, tile: int | Mapping[str, int] | None, device: Any
) -> Iterator[_Trial]:
    """As given; other sizes, from small to large; other layouts; values at which kernels overflow or divide by zero."""
    own_kind = next((v.dtype for v in at.values() if isinstance(v, torch.Tensor)), torch.float32)
    kind = own_kind if asked.dtype is None else getattr(torch, dtype_name(asked.dtype))
    limits: Mapping[Any, Any] = asked.domain if isinstance(asked.domain, Mapping) else {}
    rng = np.random.default_rng((asked.seed, 11))

    def drawn(sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
        made = {}
        for n, v in at.items():
            shape = _lengths(v, shapes, n, sizes)
            value = (
                torch.as_tensor(draw(shape, rng, limits.get(n, (None, None)))).to(kind)
                if isinstance(v, tuple)
                else torch.as_tensor(v)
            )
            made[n] = value.to(device) if device is not None else value
        return made

    if shapes is None:
        own, what = (
            drawn({}),
            "your own values" if not any(isinstance(v, tuple) for v in at.values()) else "your shapes",
        )
        yield _Trial(what, own)
    else:
        assignments = _assignments(shapes, tile)
        for sizes in assignments:
            own = drawn(sizes)
            if sum(t.numel() for t in own.values()) <= _ENTRIES:
                yield _Trial(_in_words(sizes), own, sizes)
        own = drawn(shapes.own())
    yield _Trial("cotangents of ones, spread by expand()", own, spread=True)
    if any(t.dim() > 1 for t in own.values()):
        yield _Trial("transposed strides", {n: _transposed(t) for n, t in own.items()})
    yield _Trial("every other entry of a longer array", {n: _strided(t) for n, t in own.items()})
    if not asked.domain:
        yield _Trial(f"values {_WIDE:g} times as large", {n: t * _WIDE for n, t in own.items()})
        for n, t in own.items():
            if isinstance(at[n], tuple) and t.dim() > 1 and len(t) > 1:
                yield _Trial(f"the first row of {n} being zero", {**own, n: torch.cat([0 * t[:1], t[1:]])})


def _lengths(value: Any, shapes: Shapes | None, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        return ()
    return shapes.at(sizes)[name] if shapes is not None and name in shapes.of else tuple(int(n) for n in value)


def _assignments(shapes: Shapes, tile: int | Mapping[str, int] | None) -> list[dict[str, int]]:
    """The sizes that are tried: each alone around its tile beside small others, and all together."""
    tiles = dict(tile) if isinstance(tile, Mapping) else {n: tile for n in shapes.free if tile is not None}
    unknown = [n for n in tiles if n not in shapes.names]
    if unknown:
        raise UnknownName(f"tile has {unknown[0]!r}, and the sizes are {', '.join(shapes.names)}.")
    lengths = {n: _around(tiles[n]) if n in tiles else _LENGTHS for n in shapes.free}
    own, found = shapes.own(), []
    for n in shapes.free:
        found += [{**own, n: k} for k in lengths[n]]
    if len(shapes.free) > 1:
        found += [{**own, **dict(zip(shapes.free, ks, strict=True))} for ks in zip(*map(_longest, lengths.values()))]
    unique = {tuple(sizes.items()): sizes for sizes in found}
    return sorted(unique.values(), key=lambda sizes: int(np.prod([*sizes.values()])))


def _around(tile: int) -> tuple[int, ...]:
    if tile < 1:
        raise BadInput(f"tile is {tile}.", instead="Pass the length of the kernel's blocks: tile=128.")
    return tuple(sorted({k for k in (1, tile // 2, tile - 1, tile, tile + 1, 2 * tile, 2 * tile + 1) if k > 0}))


def _longest(lengths: Sequence[int]) -> list[int]:
    """The last three lengths, shortest first: all sizes at the edge of their tiles at once."""
    return list(lengths)[-3:]


def _in_words(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} = {k}" for n, k in sizes.items())


def _transposed(t: torch.Tensor) -> torch.Tensor:
    """The same values, with the last two axes laid out the other way round."""
    return t.mT.contiguous().mT if t.dim() > 1 else t


def _strided(t: torch.Tensor) -> torch.Tensor:
    """The same values, as every other entry of a longer array that begins with another one."""
    if not t.dim():
        return t
    longer = t.new_full((*t.shape[:-1], 2 * t.shape[-1] + 1), 7.0)
    longer[..., 1::2] = t
    return longer[..., 1::2]


# ------------------------------------------------------------------------------------------------ one run


def _problems(kernel: _Kernel, trial: _Trial, asked: Asked) -> Iterator[tuple[str, Problem]]:
    """The kernel, run; each of its outputs and its gradients as numbers to be judged, beside the reference."""
    leaves = {n: _leaf(t) for n, t in trial.tensors.items()}
    before = {n: t.detach().clone() for n, t in leaves.items()}
    values = {n: t.detach().cpu().contiguous() for n, t in trial.tensors.items()}
    try:
        outs = kernel.outputs(leaves)
    except (Exception, SystemExit) as error:
        raise _failure("the kernel", trial, error) from error
    changed = [n for n, t in leaves.items() if not torch.equal(t.detach(), before[n])]
    if changed:
        raise UserCodeFailed(f"the kernel changes {listed(changed)} in place.", where=f"    at {trial.what}")
    floats = [k for k, out in enumerate(outs) if isinstance(out, torch.Tensor) and out.is_floating_point()]
    for k in floats:
        name = "output" if len(outs) == 1 else f"output[{k}]"
        numbers = Asked(at=values, values=True, **_budgets(asked))
        problem = pose(kernel.output_of_reference(k, list(values)), outs[k].detach().cpu(), numbers)
        yield name, replace(problem, opaque=True, labels={"value": name})
    wanted = asked.names or [*leaves]
    rng = np.random.default_rng((asked.seed, 12))
    with_graph = [k for k in floats if outs[k].requires_grad]
    if not with_graph:
        return
    seeds = {k: _cotangent(outs[k], trial.spread, rng) for k in with_graph}
    try:
        found = torch.autograd.grad(
            [outs[k] for k in with_graph], [leaves[n] for n in wanted], [*seeds.values()], allow_unused=True
        )
    except (Exception, SystemExit) as error:
        raise _failure("the kernel's backward", trial, error) from error
    names = [f"cotangent_{k + 1}" if len(outs) > 1 else "cotangent" for k in range(len(outs))]
    given = {**values, **{names[k]: v.detach().cpu().contiguous() for k, v in seeds.items()}}
    gradients = {
        n: (torch.zeros_like(values[n]) if g is None else g.detach().cpu()) for n, g in zip(wanted, found, strict=True)
    }
    total = kernel.seeded_reference({k: names[k] for k in seeds}, list(values))
    asked = Asked(wrt=wanted, at=given, **_budgets(asked))
    yield _GRADIENTS, replace(pose(total, gradients, asked), opaque=True)


def _leaf(t: torch.Tensor) -> torch.Tensor:
    """A tensor that is differentiated, which lies in memory as it is given."""
    return t.detach().clone(memory_format=torch.preserve_format).requires_grad_() if _is_dense(t) else _as_it_lies(t)


def _is_dense(t: torch.Tensor) -> bool:
    return t.is_contiguous()


def _as_it_lies(t: torch.Tensor) -> torch.Tensor:
    """A copy of all of its memory: fresh room between the entries may hold what an earlier run left there."""
    return _memory(t).clone().as_strided(t.shape, t.stride(), t.storage_offset()).requires_grad_()


def _memory(t: torch.Tensor) -> torch.Tensor:
    """Everything that lies in the tensor's memory, between its entries too."""
    return t.detach().as_strided((t.untyped_storage().nbytes() // t.element_size(),), (1,), 0)


def _cotangent(out: torch.Tensor, spread: bool, rng: np.random.Generator) -> torch.Tensor:
    if spread:
        return torch.ones((), dtype=out.dtype, device=out.device).expand(out.shape)
    return torch.as_tensor(draw(tuple(out.shape), rng)).to(out.dtype).to(out.device)


def _budgets(asked: Asked) -> dict[str, Any]:
    return {"domain": asked.domain, "assuming": asked.assuming, "effort": asked.effort, "seed": asked.seed}


def _failure(what: str, trial: _Trial, error: BaseException) -> UserCodeFailed:
    said = (str(error).splitlines() or [""])[0]
    return UserCodeFailed(f"{what} raised {type(error).__name__}: {said}", where=f"    at {trial.what}")


def _in_double(kernel: _Kernel, trial: _Trial, asked: Asked, name: str, problem: Problem, found: Findings) -> Findings:
    """The findings; where the same run in float64 is right, what is off in a narrower dtype are digits that it lost."""
    wrong = [n for n, v in found.verdicts.items() if isinstance(v, Refuted) and v.witness.reason == "differs"]
    if not wrong or all(t.dtype is torch.float64 for t in trial.tensors.values()):
        return found
    double = replace(trial, tensors={n: _in(t, torch.float64) for n, t in trial.tensors.items()})
    try:
        again = next(judge(p) for n, p in _problems(kernel, double, asked) if n == name)
    except (SymgradError, StopIteration):
        return found
    for n in wrong:
        if isinstance(again.verdicts.get(n), Agrees):
            kinds = listed(sorted({str(t.dtype).removeprefix("torch.") for t in trial.tensors.values()}))
            found.verdicts[n] = Undecided(
                f"in {kinds} it is off by more than a stable computation is; in float64 the same run agrees: the "
                "kernel loses its digits.",
                ("rounding", _LOST),
            )
    return found


def _in(t: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """The tensor in another dtype, with its strides."""
    return _memory(t).to(kind).as_strided(t.shape, t.stride(), t.storage_offset())


# ------------------------------------------------------------------------------------------------ all runs


def _how_bad(judged: _Judged) -> int:
    kinds = {v.kind for v in judged.found.verdicts.values() if not _tells_nothing(v)}
    return 0 if "refuted" in kinds else 1 if "undecided" in kinds else 2


def _shown_at(where: _Trial, runs: Sequence[_Judged]) -> _Judged:
    """The run that is told of, with the worst verdict of all runs on each claim."""
    shown = next((j for j in runs if j.trial is where), runs[0])
    verdicts = dict(shown.found.verdicts)
    for name in verdicts:
        runs = [j for j in runs if not _tells_nothing(j.found.verdicts[name])] or runs
        worst = min(runs, key=lambda j: _ORDER.index(j.found.verdicts[name].kind))
        verdict = worst.found.verdicts[name]
        if isinstance(verdict, Refuted) and worst is not shown:
            verdict = replace(verdict, witness=replace(verdict.witness, at_own_point=False))
        if isinstance(verdict, Agrees):
            told = max(getattr(j.found.verdicts[name], "told_to", None) or 0.0 for j in runs)
            verdict = replace(verdict, runs=len(runs), told_to=told)
        verdicts[name] = verdict
    return replace(shown, found=replace(shown.found, verdicts=verdicts))


_ORDER = ("refuted", "undecided", "agrees", "proved")


def _tells_nothing(verdict: Any) -> bool:
    """Whether rounding hides what the kernel does, as where all derivatives are zero."""
    return isinstance(verdict, Undecided) and _LOST not in verdict.tried


def _told(judged: Mapping[str, Sequence[_Judged]], failed: Sequence[tuple[_Trial, str]]) -> Iterator[str]:
    """What was run, and where each claim is wrong and where it is right."""
    trials = {id(j.trial): j.trial for runs in judged.values() for j in runs}
    yield (
        f"The kernel was run as a black box, {counted(len(trials), 'time')}, beside the reference's exact values and "
        f"derivatives: {_listed([*trials.values()])}."
    )
    if _GRADIENTS not in judged:
        yield "What it returns has no gradient by autograd: only its values were judged."
    claims: dict[str, dict[str, list[_Trial]]] = {}
    for j in itertools.chain.from_iterable(judged.values()):
        for name, verdict in j.verdicts.items():
            if not _tells_nothing(verdict):
                claims.setdefault(name, {}).setdefault(verdict.kind, []).append(j.trial)
    for name, kinds in claims.items():
        for kind, word in (("refuted", "wrong"), ("undecided", "not decided")):
            if kind in kinds:
                others = len([t for k in kinds if k != kind for t in kinds[k]])
                rule = _rule(kinds[kind], [t for k in kinds if k != kind for t in kinds[k]])
                where = f"{rule}, and nowhere else" if rule else _listed(kinds[kind])
                yield f"{name}: {word} {where} ({len(kinds[kind])} of {len(kinds[kind]) + others} runs)."
    for trial, what in failed:
        yield f"With {trial.what} {what.rstrip('.')}: that run was not judged."


def _listed(trials: Sequence[_Trial]) -> str:
    """Where it was run: sizes by name, and what was special about the other runs."""
    sizes: dict[str, set[int]] = {}
    for t in trials:
        for n, k in t.sizes.items():
            sizes.setdefault(n, set()).add(k)
    parts = [f"at {n} = {', '.join(map(str, sorted(ks)))}" for n, ks in sizes.items()]
    return "; ".join([*parts, *(f"with {t.what}" for t in trials if not t.sizes)])


def _rule(wrong: Sequence[_Trial], right: Sequence[_Trial]) -> str | None:
    """What the lengths at which it is wrong have in common, and those at which it is right have not."""
    bad, good = ([t.sizes for t in trials if t.sizes] for trials in (wrong, right))
    if not bad or not good:
        return None
    for n in bad[0]:
        for word, holds in _rules(n, sorted({sizes[n] for sizes in (*bad, *good)})):
            if all(holds(sizes[n]) for sizes in bad) and not any(holds(sizes[n]) for sizes in good):
                return f"where {word}"
    return None


def _rules(n: str, lengths: Sequence[int]) -> Iterator[tuple[str, Callable[[int], bool]]]:
    """What may be said of one length, the simplest first, and of several periods the longest."""
    periods = [d for d in reversed(lengths) if d > 1]
    for d in periods:
        yield f"{n} is no multiple of {d}", lambda k, d=d: k % d != 0
    for least in lengths[1:]:
        yield f"{n} is {least} or more", lambda k, least=least: k >= least
        yield f"{n} is less than {least}", lambda k, least=least: k < least
    for d in periods:
        yield f"{n} is a multiple of {d}", lambda k, d=d: k % d == 0
        yield f"{n} is more than {d} and no multiple of it", lambda k, d=d: k > d and k % d != 0
        yield f"{n} is more than 1 and no multiple of {d}", lambda k, d=d: k > 1 and k % d != 0
