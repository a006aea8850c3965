"""Loops of a script: those that train do the same in each turn, those over names ask another question in each."""

import pytest

from symgrad import verify_script

NAMED = """
import numpy as np
rng = np.random.default_rng(0)
p = {{f"w{{k}}": 0.3*rng.normal() for k in range(8)}}
x = 0.7

def loss(p):
    h = x
    for turn in range(12):
        for k in range(8):
            h = np.sin(p[f"w{{k}}"] + h)
    return h

def grads(p):
    h, inner = x, []
    for turn in range(12):
        for k in range(8):
            inner.append(p[f"w{{k}}"] + h)
            h = np.sin(inner[-1])
    g, dh = {{k: 0.0 for k in p}}, 1.0
    for turn in range(12):
        for k in reversed(range(8)):
            dh = dh*np.cos(inner.pop())
            g[f"w{{k}}"] += dh
    g["w6"] *= {}
    return g

g = grads(p)
for name in p:
    up, down = dict(p), dict(p)
    up[name] += 1e-5
    down[name] -= 1e-5
    print(name, g[name], (loss(up) - loss(down))/2e-5)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "verdict"), [(1, "proved"), (2, "refuted")])
def test_each_parameter_of_a_loop_over_names_is_judged(factor, verdict):
    """A long function, differentiated once by each of its parameters: the seventh is not left out."""
    report = verify_script(NAMED.format(factor))
    assert {name: claim.verdict.kind for name, claim in report.claims.items()}["w6"] == verdict
    assert len(report.claims) == 8
