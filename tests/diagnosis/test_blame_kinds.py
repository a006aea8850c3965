"""Kinds of slips in the manner of each field: each is found in its own line, and what is written instead is true where
inputs and data are moved.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.slips import agree, made_of, slip

from symgrad import verify

R = np.random.default_rng(5)


def judge(model, right, at, *changes):
    """The report on right code with slips in it, after the repair was judged by the right code."""
    report = verify(model, slip(right, *changes), at=at, wrt=list(at))
    assert report.verdict == "refuted"
    assert not [n for n in report.notes if "fault of symgrad" in n]
    assert report.repaired_source is not None
    assert agree(made_of(report.repaired_source, right), right, at)
    return report


def lines_of(report):
    return [s.source.text for s in report.steps if s.verdict == "wrong"]


# ------------------------------------------------------------------------------------------------ nets

GOAL = R.standard_normal((5, 4))


def net(X, W, V):
    return 0.5 * np.sum((np.tanh(X @ W) @ V - GOAL) ** 2)


def net_grad(X, W, V):
    h = np.tanh(X @ W)
    e = h @ V - GOAL
    dz = (e @ V.T) * (1 - h**2)
    return dz @ W.T, X.T @ dz, h.T @ e


def test_a_square_matrix_that_is_given_excuses_no_transpose_when_it_is_not_symmetric():
    at = {"X": R.standard_normal((5, 3)), "W": R.standard_normal((3, 4)), "V": R.standard_normal((4, 4))}
    report = judge(net, net_grad, at, "e @ V.T", "e @ V")
    assert report.wrong_steps == ("dz",)
    assert "true if V is symmetric" in " ".join(str(report).split())


XS = R.standard_normal((3, 2))
s = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731


def cell(W):
    h, c, tape = np.zeros(2), np.zeros(2), []
    for x in XS:
        z = np.concatenate([h, x])
        a = W @ z
        f, g = s(a[:2]), np.tanh(a[2:])
        c_prev, c = c, f * c + (1 - f) * g
        h = np.tanh(c)
        tape.append((z, f, g, c_prev, c))
    return h, tape


def gated(W):
    return np.sum(cell(W)[0] ** 2)


def gated_grad(W):
    h, tape = cell(W)
    dW, dh, dc = np.zeros_like(W), 2 * h, np.zeros(2)
    for z, f, g, c_prev, c in reversed(tape):
        dc = dc + dh * (1 - np.tanh(c) ** 2)
        parts = [
            dc * (c_prev - g) * f * (1 - f),  # the gate
            dc * (1 - f) * (1 - g**2),
        ]
        da = np.concatenate(parts)
        dW += np.outer(da, z)
        dh = (W.T @ da)[:2]
        dc = dc * f
    return dW


@pytest.mark.slow
def test_of_a_statement_over_several_lines_the_one_that_is_wrong_is_told():
    report = judge(gated, gated_grad, {"W": 0.6 * R.standard_normal((4, 4))}, "(c_prev - g)", "(c - g)")
    assert set(lines_of(report)) == {"dc * (c - g) * f * (1 - f),  # the gate"}
    assert report.repairs[0].before == "dc * (c - g) * f * (1 - f),  # the gate"
    assert report.repairs[0].why.startswith("c stands where c_prev belongs")


# ------------------------------------------------------------------------------------------------ attention

UP = R.standard_normal((3, 2))


def soft(a):
    e = np.exp(a)
    return e / e.sum(-1, keepdims=True)


def attend(Q, K):
    keep = np.tril(np.ones((3, 3)))
    return np.sum(UP * (soft(keep * (Q @ K.T)) @ UP))


def attend_grad(Q, K):
    keep = np.tril(np.ones((3, 3)))
    p = soft(keep * (Q @ K.T))
    dp = UP @ UP.T
    da = keep * p * (dp - (dp * p).sum(-1, keepdims=True))
    return da @ K, da.T @ Q


@pytest.mark.slow
def test_what_the_model_runs_itself_is_never_accused():
    at = {"Q": R.standard_normal((3, 2)), "K": R.standard_normal((3, 2))}
    for old, new in (("np.tril", "np.triu"), ("keep * (Q @ K.T)", "keep * (K @ Q.T)"), ("keep * p * (dp", "p * (dp")):
        report = judge(attend, attend_grad, at, old, new)
        assert not [text for text in lines_of(report) if "e.sum" in text or "np.exp" in text]


# ------------------------------------------------------------------------------------------------ physics


def springs(pos):
    return sum((1 - np.exp(-np.linalg.norm(pos[i] - pos[j]))) ** 2 for i in range(len(pos)) for j in range(i))


def springs_grad(pos):
    g = np.zeros_like(pos)
    for i in range(len(pos)):
        for j in range(i):
            d = pos[i] - pos[j]
            r = np.linalg.norm(d)
            e = np.exp(-r)
            f = 2 * (1 - e) * e / r
            g[i, :] += f * d
            g[j, :] -= f * d
    return g


@pytest.mark.slow
def test_one_line_is_rather_wrong_than_two_that_use_it():
    report = judge(springs, springs_grad, {"pos": R.standard_normal((3, 2))}, "* e / r", "* e ** 2 / r")
    assert report.wrong_steps == ("f",)
    assert report.repairs[0].why.startswith("the exponent is off")


# ------------------------------------------------------------------------------------------------ losses, signals

LABELS, ROWS = np.array([0, 2, 1, 1]), np.arange(4)
DATA = R.standard_normal((4, 3))
delta = 0.7


def hinge(W):
    S = DATA @ W
    M = np.maximum(0, 1 + S - S[ROWS, LABELS][:, None])
    M[ROWS, LABELS] = 0
    return 0.5 * np.sum(M**2)


def hinge_grad(W):
    S = DATA @ W
    M = np.maximum(0, 1 + S - S[ROWS, LABELS][:, None])
    M[ROWS, LABELS] = 0
    D = M.copy()
    D[ROWS, LABELS] -= M.sum(1)
    return DATA.T @ D


def huber(w):
    r = DATA @ w
    return np.sum(np.where(np.abs(r) <= delta, 0.5 * r**2, delta * np.abs(r) - 0.5 * delta**2))


def huber_grad(w):
    r = DATA @ w
    return DATA.T @ np.clip(r, -delta, delta)


def ridge(b):
    return 0.5 * np.sum((DATA @ b) ** 2) + 0.9 * np.sum(b[1:] ** 2)


def ridge_grad(b):
    g = DATA.T @ (DATA @ b)
    g[1:] += 2 * 0.9 * b[1:]
    return g


def filtered(x, k):
    return np.sum(np.tanh([x[t : t + 3] @ k for t in range(3)]))


def filtered_grad(x, k):
    slope = 1 - np.tanh([x[t : t + 3] @ k for t in range(3)]) ** 2
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    for t in range(3):
        for j in range(3):
            dk[j] += slope[t] * x[t + j]
            dx[t + j] += slope[t] * k[j]
    return dx, dk


def relu_net(W):
    h = np.maximum(0, DATA @ W)
    return np.sum(h**3)


def relu_net_grad(W):
    a = DATA @ W
    h = np.maximum(0, a)
    dh = 3 * h**2
    da = dh * (a > 0)
    return DATA.T @ da


def overlap(z):
    p = 1 / (1 + np.exp(-z))
    return 1 - (2 * np.sum(p * TARGET) + 1) / (np.sum(p) + np.sum(TARGET) + 1)


def overlap_grad(z):
    p = 1 / (1 + np.exp(-z))
    inter = 2 * np.sum(p * TARGET) + 1
    union = np.sum(p) + np.sum(TARGET) + 1
    dp = -(2 * TARGET * union - inter) / union**2
    return dp * p * (1 - p)


def quadratic(b, A):
    return np.sin(b @ A @ b)


def quadratic_grad(b, A):
    force = (A + A.T) @ b
    return np.cos(b @ A @ b) * force, np.cos(b @ A @ b) * np.outer(b, b)


def arm(b):
    return np.sum(GOALS * np.cos(np.cumsum(b)))


def arm_grad(b):
    s = np.sin(np.cumsum(b))
    return np.array([-np.sum(GOALS[j:] * s[j:]) for j in range(len(b))])


TARGET, GOALS = np.array([0.0, 1, 1, 0]), R.standard_normal(3)
AB = {"b": R.standard_normal(3), "A": R.standard_normal((3, 3))}
W, B, XK = {"W": R.standard_normal((3, 3))}, {"b": R.standard_normal(3)}, {"x": R.standard_normal(5), "k": np.ones(3)}
KINDS = [
    (
        hinge,
        hinge_grad,
        W,
        "np.maximum(0, 1 + S - S[ROWS, LABELS][:, None])",
        "1 + S - S[ROWS, LABELS][:, None]",
        "elsewhere",
    ),
    (
        huber,
        huber_grad,
        {"w": W["W"][0]},
        "np.clip(r, -delta, delta)",
        "np.clip(r, -1.0, 1.0)",
        "1.0 stands where delta",
    ),
    (relu_net, relu_net_grad, W, "dh * (a > 0)", "dh * h", "where it clips the derivative is zero: a > 0 keeps"),
    (ridge, ridge_grad, B, "g[1:] += 2 * 0.9 * b[1:]", "g[:-1] += 2 * 0.9 * b[:-1]", "another part of the array"),
    (filtered, filtered_grad, XK, "dx[t + j]", "dx[t + 2 - j]", "the index is off: t + j"),
    (
        overlap,
        overlap_grad,
        {"z": R.standard_normal(4)},
        "2 * TARGET * union - inter",
        "2 * union - inter * TARGET",
        "a factor",
    ),
    (quadratic, quadratic_grad, AB, "(A + A.T) @ b", "2 * A @ b", "a matrix and its transpose each give half"),
    (arm, arm_grad, B, "GOALS[j:] * s[j:]", "GOALS[:j] * s[:j]", "another part of the array"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "right", "at", "old", "new", "why"), KINDS)
def test_kinds(model, right, at, old, new, why):
    report = judge(model, right, at, old, new)
    assert len(report.repairs) == 1
    assert why in report.repairs[0].why


# ------------------------------------------------------------------------------------------------ recurrences

SEEN, MOVES = R.standard_normal(4), np.array([[0.7, 0.3], [0.2, 0.8]])


def hidden(mu):
    a = np.ones(2) / 2
    for y in SEEN:
        a = (a @ MOVES) * np.exp(-((y - mu) ** 2) / 2)
    return -np.log(a.sum())


def hidden_grad(mu):
    a, da = np.ones(2) / 2, np.zeros((2, 2))
    for y in SEEN:
        b = np.exp(-((y - mu) ** 2) / 2)
        db = np.diag((y - mu) * b)
        da = (da @ MOVES) * b + (a @ MOVES) * db
        a = (a @ MOVES) * b
    return -da.sum(1) / a.sum()


def smoothed(a, b):
    y, loss = 0.0, 0.0
    for x in SEEN:
        y = a * y + b * x
        loss += 0.5 * (y - x) ** 2
    return loss


def smoothed_grad(a, b):
    y = ya = yb = ga = gb = 0.0
    for x in SEEN:
        ya = y + a * ya
        yb = x + a * yb
        y = a * y + b * x
        ga += (y - x) * ya
        gb += (y - x) * yb
    return ga, gb


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("yb = x + a * yb", "yb = x**2 + a * yb")])
def test_a_value_that_is_updated_before_its_last_use(more):
    before = "        ya = y + a * ya\n        yb = x + a * yb\n        y = a * y + b * x\n"
    after = "        yb = x + a * yb\n        y = a * y + b * x\n        ya = y + a * ya\n"
    report = judge(smoothed, smoothed_grad, {"a": 0.8, "b": 0.5}, before, after, *more)
    assert "belongs after" in " ".join(r.why for r in report.repairs)
    assert len(report.repairs) == 1 + bool(more)


FORGOTTEN = [
    (hidden, hidden_grad, {"mu": np.array([0.3, -0.6])}, " + (a @ MOVES) * db", "da"),
    (smoothed, smoothed_grad, {"a": 0.8, "b": 0.5}, " + a * ya", "ya"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "right", "at", "term", "name"), FORGOTTEN)
def test_a_term_that_is_forgotten_within_a_recurrence(model, right, at, term, name):
    report = judge(model, right, at, term, "")
    assert report.wrong_steps == (name,)
    assert report.repairs[0].why.startswith("a term is missing: ")


def mixing(x, h, u, w, z):
    for t in range(4):
        g = torch.sigmoid(z * h)
        h = g * h + (1 - g) * torch.tanh(u * x[t] + w * h)
    return h**2 / 2


def mixing_grad(x, h, u, w, z):
    trace = []
    for t in range(4):
        g, c = torch.sigmoid(z * h), torch.tanh(u * x[t] + w * h)
        trace.append((h, g, c))
        h = g * h + (1 - g) * c
    lam, du, dw, dz = h, 0, 0, 0
    for t in reversed(range(4)):
        prev, g, c = trace[t]
        gg = lam * (prev - c) * g * (1 - g)
        cc = lam * (1 - g) * (1 - c**2)
        du, dw, dz = du + cc * x[t], dw + cc * prev, dz + gg * prev
        lam = lam * g + gg * z + cc * w
    return {"h": lam, "u": du, "w": dw, "z": dz}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "name"),
    [("(prev - c)", "(c - prev)", "gg"), ("(1 - c**2)", "(1 - c)", "cc"), ("lam * g + gg", "lam + gg", "lam")],
)
def test_what_a_line_of_a_recurrence_needs_is_looked_for_where_its_own_earlier_values_are_right(right, wrong, name):
    """What the line sees in the second turn comes from what it gave in the first."""
    at = {"h": torch.tensor(0.4), "u": torch.tensor(0.9), "w": torch.tensor(-0.7), "z": torch.tensor(1.3)}
    at = {n: v.double() for n, v in at.items()}
    x = torch.tensor([1.7, 0.4, -0.9, 2.2], dtype=torch.float64)
    hand = slip(mixing_grad, right, wrong)
    report = verify(mixing, hand, at={"x": x, **at}, wrt=list(at))
    assert report.wrong_steps == (name,)
    (repair,) = report.repairs
    assert repair.proved
    assert right in repair.after


LENGTHS = [1.0, 0.8, 0.5]


def reach(q):
    a = np.cumsum(q)
    return 0.5 * np.dot(LENGTHS, np.cos(a)) ** 2


def reach_grad(q):
    a = np.cumsum(q)
    x = np.dot(LENGTHS, np.cos(a))
    J = np.zeros(3)
    for j in range(3):
        for i in range(j, 3):
            J[j] -= LENGTHS[i] * np.sin(a[i])
    return {"q": x * J}


@pytest.mark.slow
@pytest.mark.parametrize("slipped", ["range(3)", "range(j + 1)", "range(j + 1, 3)", "range(j)"])
def test_a_loop_inside_of_a_loop_may_go_through_other_turns(slipped):
    report = judge(reach, reach_grad, {"q": np.array([0.3, 0.9, -0.4])}, "range(j, 3)", slipped)
    assert [r.after for r in report.repairs] == ["range(j, 3)"]


def nearer(a, b, c):
    cosine = lambda u, v: (u @ v) / (np.sqrt(u @ u) * np.sqrt(v @ v))  # noqa: E731
    return cosine(a, c) - cosine(a, b)


def nearer_grad(a, b, c):
    n, n_b, n_c = np.sqrt(a @ a), np.sqrt(b @ b), np.sqrt(c @ c)
    s_b, s_c = (a @ b) / (n * n_b), (a @ c) / (n * n_c)
    to_b = b / (n * n_b) - s_b * a / n**2
    to_c = c / (n * n_c) - s_c * a / n**2
    return {"a": to_c - to_b}


@pytest.mark.parametrize("line", ["b", "c"])
def test_of_two_lines_that_are_written_alike_the_other_tells_what_one_lacks(line):
    at = {n: R.standard_normal(4) for n in ("a", "b", "c")}
    term = f" - s_{line} * a / n**2"
    other = "c" if line == "b" else "b"
    hand = slip(nearer_grad, term, "")
    report = verify(nearer, hand, at=at, wrt=["a"])
    assert report.wrong_steps == (f"to_{line}",)
    assert report.repairs[0].after.endswith(term)
    assert report.repairs[0].why.startswith(f"as to_{other} is computed, to_{line} is")


def huber(r, k):
    return torch.nn.functional.huber_loss(r, torch.zeros_like(r), reduction="sum", delta=2.0)


def huber_grad(r, k):
    e = 1.0 * r
    return {"r": np.where(np.abs(e) > k, np.sign(e) * k, e)}


def test_a_repair_may_be_right_for_the_data_that_were_given_and_says_so():
    """The model has the number 2 where the gradient has the input k."""
    hand = slip(huber_grad, "1.0 * r", "-1.0 * r")
    report = verify(huber, hand, at={"r": np.array([0.5, -3.0, 4.0, 1.0, 1.5]), "k": 2.0}, wrt=["r"])
    assert report.verdict == "refuted"
    (repair,) = report.repairs
    assert repair.step == "e"
    assert repair.why.endswith("It is then right for your k only.")
    assert not repair.proved


@pytest.mark.parametrize(("right", "wrong"), [("b * x", "b + x"), ("* (x > 0.5)", "+ (x > 0.5)")])
def test_a_sum_may_be_meant_as_a_product(right, wrong):
    def model(x, b):
        return torch.where(x > 0.5, torch.sin(b * x), torch.zeros_like(x)).sum()

    def grad(x, b):
        c = np.cos(b * x)
        return {"x": b * c * (x > 0.5)}

    report = verify(model, slip(grad, right, wrong), at={"x": np.array([0.2, 0.9, 1.4]), "b": 1.3}, wrt=["x"])
    assert report.repairs[0].proved
    assert right in report.repairs[0].after


# ------------------------------------------------------------------------------------------------ recurrences


SEQUENCE = R.standard_normal((4, 2))


def updated(Wz, Wc):
    h = np.zeros(3)
    for x in SEQUENCE[:3]:
        xh = np.concatenate([x, h])
        z = 1 / (1 + np.exp(-Wz @ xh))
        h = (1 - z) * h + z * np.tanh(Wc @ xh)
    return h.sum()


def updated_grad(Wz, Wc):
    h, tape = np.zeros(3), []
    for x in SEQUENCE[:3]:
        xh = np.concatenate([x, h])
        z = 1 / (1 + np.exp(-Wz @ xh))
        c = np.tanh(Wc @ xh)
        tape.append((xh, z, c, h))
        h = (1 - z) * h + z * c
    gWz, gWc, gh = np.zeros_like(Wz), np.zeros_like(Wc), np.ones(3)
    for xh, z, c, before in reversed(tape):
        gz = gh * (c - before) * z * (1 - z)
        gc = gh * z * (1 - c**2)
        gWz += np.outer(gz, xh)
        gWc += np.outer(gc, xh)
        gxh = Wz.T @ gz + Wc.T @ gc
        gh = gh * (1 - z) + gxh[2:]
    return {"Wz": gWz, "Wc": gWc}


@pytest.mark.slow
def test_a_gate_whose_gradient_is_that_of_what_its_sigmoid_is_of_is_no_wrong_line():
    at = {"Wz": R.standard_normal((3, 5)), "Wc": R.standard_normal((3, 5))}
    report = judge(updated, updated_grad, at, "gh = gh * (1 - z) + gxh[2:]", "gh = gxh[2:]")
    assert report.wrong_steps == ("gh",)


def summed(Wx, Wh, b):
    h, loss = np.zeros(2), 0.0
    for t in range(4):
        h = np.tanh(Wx @ SEQUENCE[t] + Wh @ h + b)
        loss = loss + 0.5 * ((h - SEQUENCE[t, ::-1]) ** 2).sum()
    return loss


def summed_grad(Wx, Wh, b):
    h = [np.zeros(2)]
    for t in range(4):
        h.append(np.tanh(Wx @ SEQUENCE[t] + Wh @ h[t] + b))
    gWx, gWh, gb, carry = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b), np.zeros(2)
    for t in range(3, -1, -1):
        raw = (carry + h[t + 1] - SEQUENCE[t, ::-1]) * (1 - h[t + 1] ** 2)
        gWx += np.outer(raw, SEQUENCE[t])
        gWh += np.outer(raw, h[t])
        gb += raw
        carry = Wh.T @ raw
    return {"Wx": gWx, "Wh": gWh, "b": gb}


@pytest.mark.slow
def test_a_statement_that_forgets_to_add_beside_another_slip():
    at = {"Wx": R.standard_normal((2, 2)), "Wh": R.standard_normal((2, 2)), "b": R.standard_normal(2)}
    report = judge(summed, summed_grad, at, "gb += raw", "gb = raw", "Wh.T @ raw", "Wh @ raw")
    assert set(lines_of(report)) == {"gb = raw", "carry = Wh @ raw"}


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("raw, h[t])", "raw, h[-2])"), ("h[t + 1] ** 2)", "h[-2] ** 2)")])
def test_an_index_from_the_end_that_is_meant_in_one_turn_of_a_loop_alone(old, new):
    at = {"Wx": R.standard_normal((2, 2)), "Wh": R.standard_normal((2, 2)), "b": R.standard_normal(2)}
    (line,) = {*lines_of(judge(summed, summed_grad, at, old, new))}
    assert "h[-2]" in line
