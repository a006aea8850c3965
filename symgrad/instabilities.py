from __future__ import annotations
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from symgrad.arguments import dtypes_of, find_point, full_name, resolve
from symgrad.lifting.formulas import open_formula
from symgrad.lifting.modules import Module
from symgrad.stability.searching import breakings


def find_instabilities(formula, *, at=None, domain=None, dtype=None, seed=0, effort=1.0):
    model = open_formula(formula)
    own = model.parameters if isinstance(model, Module) else {}
    at = None if at is None else {full_name(n, model.names): v for n, v in at.items()}
    inputs = resolve(model, at, (), domain, seed, own)
    dtypes = dtypes_of(model, at, inputs.point, dtype)
    inputs, run = find_point(model, inputs, dtypes, seed)
    free = tuple(n for n in inputs.free or tuple(dtypes) if not dtypes[n].startswith("complex"))
    inputs = replace(inputs, free=free)
    return list(breakings(model, run, inputs, free, dtypes, seed, effort))
