"""symgrad: is the gradient that you derived by hand right, and if not, where is the error?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad.api.batches import verify_many
    from symgrad.api.custom_functions import verify_function
    from symgrad.api.gradients import compare, gradient, lift
    from symgrad.api.instabilities import find_instabilities
    from symgrad.api.script_verifier import verify_script
    from symgrad.api.strategies import points_in
    from symgrad.api.testing import assert_gradient, surrogate
    from symgrad.errors import SymgradError
    from symgrad.lifting.derived_formulas import jvp, vjp
    from symgrad.lifting.latex.latex_formula import Latex
    from symgrad.lifting.scripts.script_record import Limits
    from symgrad.ops.scalars import define
    from symgrad.program.program import Program
    from symgrad.report.report import Report
    from symgrad.verifier import verify

__version__ = "0.1.0"
__all__ = [
    "Latex",
    "Limits",
    "Program",
    "Report",
    "SymgradError",
    "__version__",
    "assert_gradient",
    "compare",
    "define",
    "find_instabilities",
    "gradient",
    "jvp",
    "lift",
    "points_in",
    "surrogate",
    "verify",
    "verify_function",
    "verify_many",
    "verify_script",
    "vjp",
]

_PLACES = {
    "Latex": "symgrad.lifting.latex.latex_formula",
    "Limits": "symgrad.lifting.scripts.script_record",
    "Program": "symgrad.program.program",
    "Report": "symgrad.report.report",
    "SymgradError": "symgrad.errors",
    "assert_gradient": "symgrad.api.testing",
    "compare": "symgrad.api.gradients",
    "define": "symgrad.ops.scalars",
    "find_instabilities": "symgrad.api.instabilities",
    "gradient": "symgrad.api.gradients",
    "jvp": "symgrad.lifting.derived_formulas",
    "load_ipython_extension": "symgrad.notebook",
    "lift": "symgrad.api.gradients",
    "points_in": "symgrad.api.strategies",
    "surrogate": "symgrad.api.testing",
    "verify": "symgrad.verifier",
    "verify_function": "symgrad.api.custom_functions",
    "verify_many": "symgrad.api.batches",
    "verify_script": "symgrad.api.script_verifier",
    "vjp": "symgrad.lifting.derived_formulas",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line parses before torch is loaded."""
    if name not in _PLACES:
        raise AttributeError(f"module 'symgrad' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
