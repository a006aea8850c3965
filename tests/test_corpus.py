"""`tests/corpus`: one short file for each way in which derivations go wrong."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.checking.verdicts import Agrees

OK = ("proved", "agrees")
CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.py"))
SECONDS = """covariance_in_two_cells degrees_for_radians elman_two_neighbours euler_adjoint_two_indices
forward_backward_index gru_state_gradient_dropped huber_delta_forgotten kalman_gain_held_constant
label_smoothing_forgotten lstm_cell_gradient_dropped masked_error_two_slips mixture_weights_forgotten
overlapping_pool_assigned pair_force_unit_vector policy_normaliser_path softmax_diagonal_only weight_norm_direction
""".split()  # of these each takes some


def tiers(paths):
    return [pytest.param(p, marks=pytest.mark.slow) if p.stem in SECONDS else p for p in paths]


@functools.cache
def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"corpus_{path.stem}", path)
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    return case


@functools.cache
def judged(case, hand):
    return verify(
        case.model, hand, wrt=case.wrt, at=case.at, order=getattr(case, "order", 1), dtype=getattr(case, "dtype", None)
    )


@pytest.mark.parametrize("path", tiers(CORPUS), ids=lambda p: p.stem)
def test_the_derivation_as_people_write_it(path):
    case = load(path)
    report = judged(case, case.hand)
    assert {n for n, c in report.claims.items() if c.kind == "refuted"} == case.wrong
    assert all(c.kind in OK for n, c in report.claims.items() if n not in case.wrong)
    assert bool(report.kinks) == getattr(case, "kink", False)
    assert bool(report.instabilities) == getattr(case, "unstable", False)
    if getattr(case, "typed", False):
        assert all(isinstance(c.verdict, Agrees) and c.verdict.typed for c in report.claims.values())


@pytest.mark.parametrize("path", tiers(p for p in CORPUS if "\nwrong = {" in p.read_text()), ids=lambda p: p.stem)
def test_the_wrong_lines_are_named_and_repaired(path):
    """Exactly the faulty lines; and the repaired code, run in float64, gives autograd's gradient."""
    case = load(path)
    report = judged(case, case.hand)
    assert report.wrong_steps in (case.faulty, *getattr(case, "also", ()))
    scope = dict(vars(case))
    exec(report.repaired_source, scope)
    as_tensor = lambda v: torch.tensor(v, dtype=torch.complex128 if "complex" in path.stem else torch.float64)  # noqa: E731
    at = {n: as_tensor(v) for n, v in case.at.items()}
    for name, value in called(scope["hand"], at).items():
        np.testing.assert_allclose(value, true_derivative(case, at, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("path", tiers(p for p in CORPUS if "fixed = hand" not in p.read_text()), ids=lambda p: p.stem)
def test_the_derivation_put_right(path):
    case = load(path)
    report = judged(case, case.fixed)
    assert report.ok, str(report)
    assert not any(i.side == "hand" for i in report.instabilities)


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_the_corpus_is_what_it_says(path):
    """Judged by autograd in float64: wrong gradients are wrong, the others and the repaired ones right."""
    case = load(path)
    as_tensor = lambda v: torch.tensor(v, dtype=torch.complex128 if "complex" in path.stem else torch.float64)  # noqa: E731
    at = {n: as_tensor(v) for n, v in case.at.items()}
    if getattr(case, "kink", False):  # autograd takes one slope at the corner: step off it
        at = {n: v + 2.0**-8 if n in case.wrt else v for n, v in at.items()}
    truth = {n: true_derivative(case, at, n) for n in case.wrt}
    for hand, wrong in ((case.hand, case.wrong), (case.fixed, set())):
        for name, value in called(hand, at).items():
            value = np.broadcast_to(value, truth[name].shape) if value.ndim == 0 else value
            same = value.shape == truth[name].shape and np.allclose(value, truth[name], rtol=3e-6, atol=1e-12)
            assert same == (name not in wrong), (hand.__name__, name)


def true_derivative(case, at, name):
    f = lambda v: case.model(**{**at, name: v})  # noqa: E731
    if getattr(case, "order", 1) == 2:
        return torch.autograd.functional.hessian(f, at[name]).numpy()
    out = f(at[name])
    if out.dim() and not out.is_complex():
        return torch.autograd.functional.jacobian(f, at[name]).numpy()
    v = at[name].clone().requires_grad_()
    (g,) = torch.autograd.grad(f(v), v, torch.ones_like(out))
    return g.resolve_conj().numpy()


def called(hand, at):
    names = hand.__globals__
    if "np" in names:
        given = {n: v.numpy() if v.dim() else v.numpy()[()] for n, v in at.items()}
    elif set(names) & {"tanh", "exp"}:
        given = {n: v.item() for n, v in at.items()}
    else:
        given = at
    with np.errstate(all="ignore"):
        found = hand(**given)
    return {n: np.asarray(v.resolve_conj() if isinstance(v, torch.Tensor) else v) for n, v in found.items()}
