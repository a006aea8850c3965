"""symgrad: is the gradient that you derived by hand right, and if not, where is the error?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad.assertions import assert_gradient
    from symgrad.batches import verify_many
    from symgrad.custom_functions import verify_function
    from symgrad.errors import SymgradError
    from symgrad.gradients import gradient
    from symgrad.instabilities import find_instabilities
    from symgrad.lifting.latex.formula import Latex
    from symgrad.lifting.products import jvp, vjp
    from symgrad.ops.scalars import define
    from symgrad.program import Program
    from symgrad.questions import compare, lift
    from symgrad.report.report import Report
    from symgrad.scripts import verify_script
    from symgrad.verifier import verify

__version__ = "0.1.0"
__all__ = [
    "Latex",
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
    "verify",
    "verify_function",
    "verify_many",
    "verify_script",
    "vjp",
]

_PLACES = {
    "Latex": "symgrad.lifting.latex.formula",
    "Program": "symgrad.program",
    "Report": "symgrad.report.report",
    "SymgradError": "symgrad.errors",
    "assert_gradient": "symgrad.assertions",
    "compare": "symgrad.questions",
    "define": "symgrad.ops.scalars",
    "find_instabilities": "symgrad.instabilities",
    "gradient": "symgrad.gradients",
    "jvp": "symgrad.lifting.products",
    "load_ipython_extension": "symgrad.notebook",
    "lift": "symgrad.questions",
    "verify": "symgrad.verifier",
    "verify_function": "symgrad.custom_functions",
    "verify_many": "symgrad.batches",
    "verify_script": "symgrad.scripts",
    "vjp": "symgrad.lifting.products",
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
