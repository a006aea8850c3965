"""Scripts as people paste them: what is found in them, what is told, and what is right."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import symgrad
from symgrad.api.script_verifier import verify_script
from symgrad.errors import BadInput, NotReproducible, SymgradError, UnknownName, UserCodeFailed
from symgrad.lifting.scripts.script_record import Limits

POSTS = Path(__file__).parents[1] / "posts"


def script(text):
    return textwrap.dedent(text)


# ------------------------------------------------------------------------------------------------ the two posts


def test_the_tanh_rnn_post_as_it_stands():
    """Two derivations that agree with each other, and are both wrong; the formulas for W_y are right."""
    report = verify_script((POSTS / "tanh_rnn.txt").read_text())
    assert {name: c.kind for name, c in report.claims.items()} == {
        "W_h (dy2_dwh)": "refuted",
        "W_h (dw_h)": "refuted",
        "W_y (dy2_dwy)": "proved",
        "W_y (dw_y)": "proved",
    }
    claim = report.claims["W_h (dw_h)"]
    truth = 40 * (1 - np.tanh(2 * np.tanh(1)) ** 2) * (np.tanh(1) + 2 * (1 - np.tanh(1) ** 2) * 0.5)
    assert float(claim.exact_value) == pytest.approx(truth, rel=1e-14)
    assert float(claim.hand_value) == -40.21530288726289  # what the post printed
    assert float(claim.autograd_value) == pytest.approx(8.1888, abs=5e-5)
    assert report.wrong_steps == ("dh1_dwh", "dh2_dwh", "dh2_raw", "dh1_raw")
    assert report.notes[:2] == (
        "I took `Y2` as the output, and `W_h` and `W_y` as its inputs.",
        "As gradients I took `dy2_dwh` and `dw_h` for `W_h` and `dy2_dwy` and `dw_y` for `W_y`, which are printed "
        "beside autograd's gradients.",
    )
    assert "19 lines that are no code were left out: 1-15, 59-62." in report.notes
    comments = [n for n in report.notes if "comment" in n]
    assert comments == [
        "The comments in lines 36 and 38 state another formula than the code: the comment lacks the parentheses that "
        "the code has. The first says dh2/dw_h = 1 - h2_raw**2 * dh2_raw/dw_h, and line 44 computes dh2_dwh = "
        "(1 - h2_raw**2) * dh2raw_dwh."
    ]


def test_the_repaired_tanh_rnn_post_is_proved():
    text = (POSTS / "tanh_rnn.txt").read_text()
    for k in (1, 2):
        text = text.replace(f"(1 - h{k}_raw**2)", f"(1 - h{k}**2)")
    report = verify_script(text)
    assert report.verdict == "proved"
    assert len(report.claims) == 4


def test_the_sigmoid_net_post_as_it_stands():
    """The formulas are right; the differences in the post are rounding."""
    report = verify_script(POSTS / "sigmoid_net.txt")
    assert {name: c.kind for name, c in report.claims.items()} == {
        "linear1.weight": "proved",
        "linear2.weight": "proved",
    }
    assert report.notes[:3] == (
        "I took `out` as the output, and `linear1.weight` and `linear2.weight` as its inputs.",
        "For `linear1.weight` I took `du_calc`, which is compared with autograd's gradient.",
        "For `linear2.weight` I took `dw_calc`, which is printed next to autograd's gradient.",
    )
    assert any("a seed that it does not set itself was 0" in n for n in report.notes)
    rounding = report.claims["linear1.weight"].rounding
    assert rounding.dtype == "float32"
    assert rounding.hand.largest < 16
    assert rounding.autograd is not None


@pytest.mark.parametrize(
    ("line", "slip"),
    [
        ("tmp2=(1+tmp)*(1+tmp)", "tmp2=(1+tmp)"),
        ("dtmp2=weights2*(1/np.sqrt(10))", "dtmp2=-weights2*(1/np.sqrt(10))"),
        ("du_calc = np.transpose(np.matmul(inp, dtmp2))", "du_calc = np.transpose(np.matmul(inp**2, dtmp2))"),
    ],
)
@pytest.mark.slow
def test_slips_planted_in_the_sigmoid_net_post(line, slip):
    text = (POSTS / "sigmoid_net.txt").read_text()
    assert line in text
    report = verify_script(text.replace(line, slip))
    assert report.claims["linear1.weight"].kind == "refuted"
    assert report.claims["linear2.weight"].kind == "proved"


# ------------------------------------------------------------------------------------------------ how people write

NUMPY_MLP = """
import numpy as np, torch
np.random.seed(1)
X = np.random.randn(5, 3); y = np.random.randn(5, 2)
W1 = np.random.randn(3, 4)*0.5; b1 = np.zeros(4)
z = X @ W1 + b1
h = np.tanh(z)
loss = ((h[:, :2] - y)**2).mean()
dh = np.zeros_like(h)
dh[:, :2] = 2*(h[:, :2] - y)/y.size
dz = dh*(1 - h**2)
dW1 = X.T @ dz
db1 = dz.sum(0)
tW1 = torch.tensor(W1, requires_grad=True)
tb1 = torch.tensor(b1, requires_grad=True)
tl = ((torch.tanh(torch.tensor(X) @ tW1 + tb1)[:, :2] - torch.tensor(y))**2).mean()
tl.backward()
print(np.abs(dW1 - tW1.grad.numpy()).max())
print(np.allclose(db1, tb1.grad))
"""


def test_a_derivation_in_numpy_beside_a_model_in_torch():
    """The arrays from which the leaves are made are the same inputs, for both."""
    report = verify_script(NUMPY_MLP)
    assert {n: c.kind for n, c in report.claims.items()} == {"tW1": "proved", "tb1": "proved"}
    assert "The numbers in `W1` are those of `tW1`: I took the two for one input." in report.notes
    wrong = verify_script(NUMPY_MLP.replace("dz = dh*(1 - h**2)", "dz = dh*(1 - z**2)"))
    assert {n: c.kind for n, c in wrong.claims.items()} == {"tW1": "refuted", "tb1": "refuted"}


COMPARE = """
import torch
import torch.nn.functional as F
def cmp(s, dt, t):
    ex = torch.all(dt == t.grad).item()
    maxdiff = (dt - t.grad).abs().max().item()
    print(f'{s:15s} | exact: {str(ex):5s} | maxdiff: {maxdiff}')
g = torch.Generator().manual_seed(2147483647)
n = 4
X = torch.randn((n, 5), generator=g)
Y = torch.tensor([0, 2, 1, 2])
W = torch.randn((5, 3), generator=g)
parameters = [W]
for p in parameters:
    p.requires_grad = True
logits = X @ W
counts = logits.exp()
probs = counts / counts.sum(1, keepdim=True)
loss = -probs.log()[range(n), Y].mean()
for t in [probs, logits]:
    t.retain_grad()
loss.backward()
dlogits = F.softmax(logits, 1)
dlogits[range(n), Y] -= 1
dlogits /= n
dW = X.T @ dlogits
cmp('logits', dlogits, logits)
cmp('W', dW, W)
"""


@pytest.mark.slow
def test_values_on_the_way_are_judged_too():
    report = verify_script(COMPARE)
    assert sorted(report.claims) == ["W", "logits"]
    assert report.ok
    wrong = verify_script(COMPARE.replace("dlogits /= n", "dlogits /= n + 1"))
    assert {n: c.kind for n, c in wrong.claims.items()} == {"W": "refuted", "logits": "refuted"}


LOOP = """
import torch
torch.manual_seed(0)
X = torch.randn(20, 3); y = torch.randn(20)
w = torch.zeros(3, requires_grad=True)
opt = torch.optim.SGD([w], lr=0.1)
for i in range(3):
    opt.zero_grad()
    loss = ((X @ w - y)**2).mean()
    loss.backward()
    grad_w = 2 * X.T @ (X @ w.detach() - y) / len(y)
    print(i, (w.grad - grad_w).abs().max())
    opt.step()
"""


def test_a_training_loop_is_judged_at_its_last_turn():
    report = verify_script(LOOP)
    assert {n: c.kind for n, c in report.claims.items()} == {"w": "proved"}
    assert "The output `loss` is differentiated 3 times; I took the last, in line 10." in report.notes
    assert verify_script(LOOP.replace("2 * X.T", "X.T")).verdict == "refuted"


def test_plain_numbers_typed_for_both_sides_inside_a_function():
    text = script("""
        import torch, math
        def main():
            a, b = 0.7, 1.3
            A = torch.tensor(a, requires_grad=True)
            B = torch.tensor(b, requires_grad=True)
            y = torch.exp(-A * B)
            y.backward()
            da = -b * math.exp(-a*b)
            db = -a * math.exp(-a*b) * b
            print("da", da, A.grad.item())
            print("db", db, B.grad.item())
        if __name__ == "__main__":
            main()
    """)
    report = verify_script(text)
    assert {n: c.kind for n, c in report.claims.items()} == {"B": "refuted", "A": "proved"}


def test_an_assertion_that_fails_does_not_stop_the_judging():
    """The assertion fails because the gradient is wrong: that is the question, not an error."""
    text = script("""
        import torch
        torch.manual_seed(0)
        x = torch.randn(4, 3)
        W = torch.randn(3, 2, requires_grad=True)
        out = torch.sigmoid(x @ W).sum()
        out.backward()
        with torch.no_grad():
            grad_W = x.T @ torch.sigmoid(x @ W)
        assert torch.allclose(grad_W, W.grad), "gradients differ"
    """)
    report = verify_script(text)
    assert report.claims["W"].kind == "refuted"
    told = (
        "The script stops early (line 10: AssertionError: gradients differ); what it had computed until then is judged."
    )
    assert told in report.notes


def test_autograd_grad_with_a_cotangent():
    text = script("""
        import torch
        x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
        v = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
        y = torch.sin(x)
        (g,) = torch.autograd.grad(y, x, grad_outputs=v)
        mine = v * torch.cos(x)
        print(torch.allclose(g, mine))
    """)
    report = verify_script(text)
    assert report.verdict == "proved"
    assert "The output `y` is differentiated from a gradient of the script's own, and not from 1." in report.notes
    assert verify_script(text.replace("mine = v * ", "mine = ")).verdict == "refuted"


def test_detach_is_bookkeeping_in_the_derivation_and_cuts_in_the_model():
    text = script("""
        import torch
        w = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
        y = w.detach() * w**2
        y.backward()
        dw = {}
        print(w.grad, dw)
    """)
    assert verify_script(text.format("2 * w.item()**2")).verdict == "proved"  # the first factor is cut off
    assert verify_script(text.format("3 * w.item()**2")).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ saying it otherwise

TWO = """
import torch
w = torch.tensor(1.5, requires_grad=True)
y = w**2
z = w**3
y.backward()
z.backward()
dw = 3*w.item()**2
other = 2*w.item()
"""


def test_output_wrt_and_gradients_can_be_said():
    assert verify_script(TWO, output="z").verdict == "proved"
    assert verify_script(TWO, output="y").verdict == "refuted"
    report = verify_script(TWO, output="y", gradients={"w": "other"})
    assert report.verdict == "proved"
    assert "For `w` I took `other`, as you said." in report.notes
    both = verify_script(TWO, output="y", gradients={"w": ["dw", "other"]})
    assert {n: c.kind for n, c in both.claims.items()} == {"w (dw)": "refuted", "w (other)": "proved"}


def test_a_script_without_autograd_can_be_judged_when_told():
    text = "import torch\nw = torch.tensor(2.0, requires_grad=True)\nloss = w**2\ndw = 2*w.item()\n"
    assert verify_script(text, output="loss").verdict == "proved"


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (
            TWO,
            {},
            BadInput,
            "several outputs are differentiated, and nothing says which one the derivation is for.\n    line 6    "
            "backward() of y\n    line 7    backward() of z\n    line 7    backward() of y + z\nSay which "
            "one: output='y'.",
        ),
        (TWO, {"output": "zz"}, UnknownName, "output names 'zz', but the script computes no 'zz'.\nClose names: z."),
        (TWO, {"output": "y", "wrt": "v"}, UnknownName, "'v' is no input of y; these are: w."),
        (
            TWO,
            {"output": "y", "gradients": {"w": "othr"}},
            UnknownName,
            "gradients names 'othr', but the script computes no 'othr'.\nClose names: other.",
        ),
        (
            "x = 1.0\ny = x**2\nprint(y)\n",
            {},
            BadInput,
            "the script does not call autograd, and nothing in it says what is meant as a gradient.\n"
            "Add the backward pass, or a loss and an update, to the script.",
        ),
        (
            "import torch\nw = torch.tensor(1.5, requires_grad=True)\ny = w*w\ny.backward()\nresult = 3.0\n",
            {},
            BadInput,
            "no variable was found that is meant as a gradient of y for w.\n"
            "Compute one, and call it dw, or print it beside w.grad.",
        ),
        (
            "import torch\nw = torch.tensor(1.5, requires_grad=True)\ny = w*w\ny.backward()\nresult = 3.0\n",
            {"gradients": {"w": "result"}},
            BadInput,
            "result is a plain number, 3.0, that is not computed from w.\n"
            "A number alone can be judged with verify(model, numbers, at=...).",
        ),
        (
            "hello there, this is prose!",
            {},
            BadInput,
            "there is no Python code in this text: invalid syntax.\n    line 1    hello there, this is prose!\n"
            "Pass a script as text, or the path of one.",
        ),
        ("no/such/file.py", {}, BadInput, "there is no file no/such/file.py.\nPass the path of a script, or its text."),
        (
            3,
            {},
            BadInput,
            "source is a int.\nPass the script as text, or its path; verify() takes functions and formulas.",
        ),
    ],
)
def test_what_cannot_be_judged_is_told(text, options, error, message):
    with pytest.raises(error) as caught:
        verify_script(text, **options)
    assert str(caught.value) == message


def test_a_script_that_fails_by_itself():
    """Its own exception, its line, and what was understood before; the traceback is the cause's."""
    text = script("""
        import torch
        w = torch.tensor(1.0, requires_grad=True)
        y = w**2
        y.backward()
        dw = 2*q
    """)
    with pytest.raises(UserCodeFailed) as caught:
        verify_script(text)
    assert caught.value.what == "the script itself fails: NameError: name 'q' is not defined"
    assert caught.value.where.endswith(":6    dw = 2*q")
    assert caught.value.instead == (
        "Give q a value in the script, such as small numbers, or pass namespace={'q': ...}. "
        "Before that it was understood so far: the tensors that require a gradient: w; backward() of y in line 5."
    )
    assert isinstance(caught.value.__cause__, NameError)
    assert verify_script(text, namespace={"q": 1.0}).ok  # as it advises
    with pytest.raises(UserCodeFailed, match=r"Install no_such_module here, or write what it gives into the script\."):
        verify_script("import no_such_module\n")


def test_the_clock():
    text = script("""
        import torch, time
        w = torch.tensor(1.5, requires_grad=True)
        t = time.perf_counter()
        y = w**2 * t
        y.backward()
        dw = 2*w.item()*t
        print(w.grad, dw)
    """)
    with pytest.raises(NotReproducible) as caught:
        verify_script(text)
    assert caught.value.what == "two runs of the script computed with different numbers."
    assert caught.value.instead.startswith("The script looks at the clock with time.perf_counter() in line 4.")


def test_the_clock_that_does_not_matter_is_only_told():
    text = "import torch, time\nt = time.time()\nw = torch.tensor(1.5, requires_grad=True)\n"
    text += "y = w**2\ny.backward()\ndw = 2*w.item()\nprint(w.grad, dw, time.time() - t)\n"
    assert any("looks at the clock with time.time() in line 2, 7" in n for n in verify_script(text).notes)


def test_files_that_are_read_are_told(tmp_path):
    path = tmp_path / "w.npy"
    np.save(path, np.array([1.0, 2.0]))
    text = script(f"""
        import numpy as np, torch
        w0 = np.load({str(path)!r})
        w = torch.tensor(w0, requires_grad=True)
        y = (w**3).sum()
        y.backward()
        dw = 3*w0**2
        print(w.grad, dw)
    """)
    report = verify_script(text)
    assert report.verdict == "proved"
    assert "The script reads a file with np.load() in line 3." in report.notes


def test_printing_and_running_long_have_limits(capsys):
    text = "import torch\nw = torch.tensor(1.5, requires_grad=True)\nfor i in range(100): print('hello')\n"
    text += "y = w*w\ny.backward()\ndw = 2*w.detach()\nprint(dw, w.grad)\n"
    report = verify_script(text, limits=Limits(printed=100))
    assert report.verdict == "proved"
    assert any("The script prints a lot" in n for n in report.notes)
    assert capsys.readouterr().out == ""
    with pytest.raises(BadInput, match="more than 50 turns of loops and calls"):
        verify_script(text, limits=Limits(turns=50))
    with pytest.raises(BadInput, match="more than 2 operations"):
        verify_script(
            "import torch\nw = torch.tensor(1.5, requires_grad=True)\nwhile True: w = w*1.0\n", limits=Limits(steps=2)
        )


def test_a_script_leaves_the_world_as_it_was():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_default_dtype()
    verify_script("import torch, numpy as np\ntorch.manual_seed(3)\nnp.random.seed(3)\n" + NUMPY_MLP)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert torch.get_default_dtype() is before[2]


def test_input_is_refused_and_sys_exit_is_an_end():
    with pytest.raises(SymgradError, match=r"asks for input\(\)"):
        verify_script("x = input('number: ')\n")
    text = "import torch, sys\nw = torch.tensor(1.5, requires_grad=True)\ny = w*w\ny.backward()\ndw = 2*w.item()\n"
    assert verify_script(text + "sys.exit(0)\n").verdict == "proved"


def test_it_is_public():
    assert symgrad.verify_script is verify_script


@pytest.mark.slow
def test_the_command_line_takes_whole_scripts(tmp_path, capsys):
    from symgrad.cli import main

    assert main(["check", str(POSTS / "tanh_rnn.txt")]) == 1
    assert capsys.readouterr().out.startswith("Wrong: your gradients for W_h (dy2_dwh and dw_h)")
    assert main(["check", str(POSTS / "sigmoid_net.txt")]) == 0
    path = tmp_path / "two.py"
    path.write_text(TWO)
    assert main(["check", str(path)]) == 3
    assert main(["check", str(path), "--output", "z"]) == 0
    path.write_text("import torch\nw = torch.tensor(1.0, requires_grad=True)\n(w**2).backward()\ndw = 2 * q\n")
    capsys.readouterr()
    assert main(["check", str(path)]) == 3
    err = capsys.readouterr().err
    assert "    dw = 2 * q" in err
    assert "NameError: name 'q' is not defined" in err
    assert "Before that it was understood so far" in err


def test_the_notebook_magic():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "symgrad")
    shell.run_cell(
        "import torch\nw = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)\nx = torch.ones(2)"
    )
    cell = "y = (w**3 * x).sum()\ny.backward()\ndw = {} * w.detach()**2 * x\nprint(w.grad, dw)\n"
    right = shell.run_cell_magic("symgrad", "seed=1", cell.format(3))
    assert (right.verdict, right.seed, list(right.claims)) == ("proved", 1, ["w"])
    assert shell.run_cell_magic("symgrad", "output=y", cell.format(2)).verdict == "refuted"
    assert shell.user_ns["w"].tolist() == [0.5, 2.0]  # as it was
    assert shell.user_ns["w"].grad is None
    with pytest.raises(BadInput, match="%%symgrad has no option 'outpt=y'"):
        shell.run_cell_magic("symgrad", "outpt=y", cell)


LITERALS = """
import torch, math
W = torch.tensor(2.0, requires_grad=True)
V = torch.tensor(3.0, requires_grad=True)
y = torch.sin(W) * V
y.backward()
{}
print(W.grad, dW)
"""


def test_a_number_under_another_name_is_the_input_where_that_makes_all_right():
    report = verify_script(LITERALS.format("a = 2.0\nb = 3.0\ndW = math.cos(a) * b"))
    assert report.verdict == "proved"
    assert "The numbers in `a` are those of `W`: I took the two for one input." in report.notes
    assert verify_script(LITERALS.format("a = 2.0\nb = 3.0\ndW = math.sin(a) * b")).verdict == "refuted"


def test_numbers_written_out_are_judged_where_they_are_right():
    report = verify_script(LITERALS.format("dW = math.cos(2.0) * 3.0"))
    assert report.verdict == "agrees"
    assert any("judged at the script's own point alone" in n for n in report.notes)
    assert verify_script(LITERALS.format("dW = math.cos(2.0) * 3.1")).verdict == "refuted"


def test_a_number_written_out_among_inputs_is_pointed_at():
    report = verify_script(LITERALS.format("dW = math.cos(2.0) * V.item()"))
    assert report.verdict == "refuted"
    told = "W: at the script's own point yours is right; if a number in it stands for an input, write the input."
    assert told in report.notes


CLASSES = """
import torch
torch.manual_seed(0)
n = 3
z = torch.randn(n, 2, requires_grad=True)
logp = z - z.exp().sum(1, keepdim=True).log()
loss = -logp[range(n), [0, 1, 0]].mean()
logp.retain_grad()
loss.backward()
dlogp = torch.zeros_like(logp)
dlogp[range(n), [0, 1, 0]] = -1.0 / n
dz = dlogp - z.exp() / z.exp().sum(1, keepdim=True) * dlogp.sum(1, keepdim=True)
print(torch.allclose(dlogp, logp.grad), torch.allclose(dz, z.grad))
"""


@pytest.mark.slow
def test_a_quotient_that_is_written_into_a_narrow_tensor_is_exact():
    report = verify_script(CLASSES)
    assert {n: c.verdict.kind for n, c in report.claims.items()} == {"z": "proved", "logp": "proved"}
    assert verify_script(CLASSES.replace("-1.0 / n\n", "-1.0 / (n + 1e-4)\n")).verdict == "refuted"
