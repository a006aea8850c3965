"""What learns from what it did: policy gradients, and values that are learnt from their own estimates."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput


def kinds(report):
    return {name: claim.verdict.kind for name, claim in report.claims.items()}


REINFORCE = """
import numpy as np
rng = np.random.RandomState(0)
theta = 0.1 * rng.randn(3, 2)
alpha = 0.01

def policy(s):
    z = s @ theta
    e = np.exp(z - np.max(z))
    return e / e.sum()

for episode in range(2):
    states, actions, rewards = [], [], []
    for t in range(2):
        s = rng.randn(3)
        p = policy(s)
        a = rng.choice(2, p=p)
        states.append(s); actions.append(a); rewards.append(s[0])
    G = 0.0
    for t in reversed(range(2)):
        G = rewards[t] + 0.9 * G
        p = policy(states[t])
        dlog = {dlog}
        dlog[actions[t]] += 1
        theta += alpha * G * np.outer(states[t], dlog)
"""


@pytest.mark.slow
def test_a_policy_gradient_is_that_of_the_log_of_what_was_drawn():
    report = verify_script(REINFORCE.format(dlog="-p"))
    assert kinds(report) == {"theta": "proved"}
    assert any("the log of the entry of p that line 17 draws, times G" in note for note in report.notes)


@pytest.mark.slow
def test_a_policy_gradient_is_not_assumed_where_nothing_comes_out_right():
    with pytest.raises(BadInput, match="what is differentiated"):
        verify_script(REINFORCE.format(dlog="p.copy()"))


BANDIT = """
import numpy as np
rng = np.random.default_rng(1)
H, baseline, alpha = np.zeros(3), 0.0, 0.1
for t in range(1, 6):
    e = np.exp(H)
    pi = e / e.sum()
    a = rng.choice(3, p=pi)
    R = rng.normal([0.1, 0.5, -0.4][a], 1)
    baseline += (R - baseline) / t
    for b in range(3):
        if b == a:
            H[b] += alpha * (R - baseline) * {own}
        else:
            H[b] -= alpha * (R - baseline) * pi[b]
"""


@pytest.mark.slow
def test_the_preferences_of_a_bandit_are_judged_entry_by_entry():
    right = verify_script(BANDIT.format(own="(1 - pi[b])"))
    assert right.verdict == "proved"
    assert set(right.claims) == {"H[0]", "H[1]", "H[2]"}
    wrong = verify_script(BANDIT.format(own="pi[b]"))
    assert sorted(kinds(wrong).values()) == ["proved", "proved", "refuted"]


TD = """
import numpy as np
rng = np.random.default_rng(3)
w, alpha = np.array([0.1, 0.2, 0.0]), 0.05
def phi(s):
    return np.array([1.0, s / 7, (s / 7)**2])
s = 3
for k in range(4):
    s_next = s + (1 if rng.random() < 0.5 else -1)
    target = 0.5 + 0.9 * np.dot(w, phi(s_next))
    delta = target - np.dot(w, phi(s))
    w += alpha * delta * phi({at})
    s = s_next
"""


@pytest.mark.slow
def test_a_value_that_is_learnt_from_its_own_estimate_is_a_semi_gradient():
    report = verify_script(TD.format(at="s"))
    assert kinds(report) == {"w": "proved"}
    assert any("with target held constant" in note and "semi-gradient" in note for note in report.notes)
    with pytest.raises(BadInput, match="what is differentiated"):
        verify_script(TD.format(at="s_next"))


@pytest.mark.slow
def test_an_update_by_drawn_states_is_no_gradient_of_what_is_printed():
    # contrastive divergence: the update follows the mean over all draws, which no run computes
    code = """
import numpy as np
rng = np.random.RandomState(0)
data, W = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), 0.1 * rng.randn(2, 3)
for epoch in range(2):
    hidden = 1 / (1 + np.exp(-data @ W))
    states = hidden > rng.rand(3, 3)
    visible = 1 / (1 + np.exp(-(states @ W.T)))
    again = 1 / (1 + np.exp(-visible @ W))
    W += 0.1 * (data.T @ hidden - visible.T @ again) / 3
    error = np.sum((data - visible) ** 2)
    print(error)
"""
    with pytest.raises(BadInput, match=r"line 7 draws states by probabilities that `W` is in") as refused:
        verify_script(code)
    assert "--output error" in str(refused.value)
    assert verify_script(code, output="error").verdict == "refuted"
