"""torch.autograd.Functions and custom operators: backward against forward, for every cotangent."""

import numpy as np
import pytest
import torch
from support.custom import Cube

import symgrad
from symgrad.api.custom_functions import verify_function
from symgrad.errors import BadInput, NotReproducible, UnknownName, UserCodeFailed, WrongShape


def kinds(report):
    return {name: claim.kind for name, claim in report.claims.items()}


class ForgetsUpstream(Cube):
    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return 3 * x**2


class Linear(torch.autograd.Function):
    """The tutorial's linear layer, with a scale that is no tensor."""

    @staticmethod
    def forward(ctx, x, weight, bias=None, scale=2.0):
        ctx.save_for_backward(x, weight, bias)
        ctx.scale = scale
        out = x @ weight.t() * scale
        return out if bias is None else out + bias

    @staticmethod
    def backward(ctx, g):
        x, weight, bias = ctx.saved_tensors
        gx = gw = gb = None
        if ctx.needs_input_grad[0]:
            gx = g @ weight * ctx.scale
        if ctx.needs_input_grad[1]:
            gw = g.t() @ x * ctx.scale
        if bias is not None and ctx.needs_input_grad[2]:
            gb = g.sum(0)
        return gx, gw, gb, None


class Several(torch.autograd.Function):
    """Several outputs, one of them no float; setup_context; a jvp."""

    @staticmethod
    def forward(x, y):
        return torch.sin(x) * y, torch.exp(x), x.argmax()

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y = inputs
        ctx.save_for_backward(x, y)
        ctx.save_for_forward(x, y)
        ctx.e = output[1]
        ctx.mark_non_differentiable(output[2])

    @staticmethod
    def backward(ctx, ga, gb, gi):
        x, y = ctx.saved_tensors
        return ga * torch.cos(x) * y + gb * ctx.e, ga * torch.sin(x)

    @staticmethod
    def jvp(ctx, tx, ty):
        x, y = ctx.saved_tensors
        return tx * torch.cos(x) * y + ty * torch.sin(x), tx * ctx.e, None


def test_a_right_backward_is_proved():
    report = verify_function(Cube, at={"x": (2, 3)})
    assert kinds(report) == {"x": "proved"}
    assert [s.name for s in report.steps if s.name == "slope"] == ["slope"]


def test_a_cotangent_that_is_forgotten_is_seen():
    """With a cotangent of ones, this backward is right."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    ForgetsUpstream.apply(x).sum().backward()
    assert torch.equal(x.grad, 3 * x.detach() ** 2)
    report = verify_function(ForgetsUpstream, at={"x": x})
    assert kinds(report) == {"x": "refuted"}
    witness = report.claims["x"].witness
    assert not np.allclose(witness.point["grad_output"], 1)


@pytest.mark.parametrize(
    "at", [{"x": (4, 3), "weight": (2, 3)}, {"x": (4, 3), "weight": (2, 3), "bias": (2,), "scale": 3.0}]
)
def test_optional_arguments_and_attributes_of_ctx(at):
    report = verify_function(Linear, at=at)
    assert set(kinds(report).values()) == {"proved"}
    assert set(report.claims) == set(at) - {"scale"}


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("x", "gx = g @ weight * ctx.scale", "gx = g @ weight"),
        ("weight", "gw = g.t() @ x * ctx.scale", "gw = g.t() @ x"),
        ("bias", "gb = g.sum(0)", "gb = g.mean(0)"),
    ],
)
def test_slips_in_one_gradient(name, right, wrong, tmp_path):
    import importlib.util
    import inspect
    import textwrap

    text = textwrap.dedent(inspect.getsource(Linear))
    assert right in text
    path = tmp_path / f"slip_{name}.py"
    path.write_text("import torch\n" + text.replace(right, wrong))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report = verify_function(module.Linear, at={"x": (4, 3), "weight": (2, 3), "bias": (2,), "scale": 3.0})
    assert kinds(report) == {n: "refuted" if n == name else "proved" for n in ("x", "weight", "bias")}


def test_several_outputs_setup_context_and_jvp():
    report = verify_function(Several, at={"x": (3,), "y": (3,)})
    assert set(kinds(report)) == {"x", "y", "jvp of output[0]", "jvp of output[1]"}
    assert report.verdict == "proved"
    assert "The claims are about every ga and gb: values are drawn, and moved like the inputs." in report.notes


@pytest.mark.slow
def test_a_wrong_jvp():
    class Wrong(Several):
        @staticmethod
        def jvp(ctx, tx, ty):
            x, y = ctx.saved_tensors
            return tx * torch.cos(x) * y, tx * ctx.e, None

    report = verify_function(Wrong, at={"x": (3,), "y": (3,)})
    assert {n for n, k in kinds(report).items() if k == "refuted"} == {"jvp of output[0]"}


def test_a_backward_that_does_something_else_when_one_gradient_is_asked_for():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            gx = g * y if all(ctx.needs_input_grad) else g * x
            return gx, g * x

    report = verify_function(Product, at={"x": (3,), "y": (3,)})
    assert kinds(report) == {"x": "proved", "y": "proved", "x (needed alone)": "refuted"}
    x = torch.tensor([2.0], requires_grad=True)
    Product.apply(x, torch.tensor([3.0])).sum().backward()
    assert x.grad.item() == 2.0  # torch agrees: the gradient is 3


def test_none_for_a_tensor_is_zero():
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    report = verify_function(Half, at={"x": (3,), "y": (3,)})
    assert kinds(report) == {"x": "proved", "y": "refuted"}
    assert "The gradient for y is None, which autograd takes for zero." in report.notes
    assert verify_function(Half, at={"x": (3,), "y": (3,)}, wrt="x").verdict == "proved"


def test_branches_and_in_place_writes():
    class Relu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            gi = g.clone()
            gi[x < 0] = 0
            return gi

    assert verify_function(Relu, at={"x": torch.tensor([1.0, -2.0, 0.5])}).verdict == "proved"


class OfInnerProduct(torch.autograd.Function):
    """A conjugate too much in the gradient by a."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return (a * b.conj()).sum()

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b.conj(), g.conj() * a


def test_a_conjugate_too_much_is_taken_off():
    at = {n: torch.tensor(v, dtype=torch.complex128) for n, v in {"a": [1 + 2j, 0.5], "b": [2 - 1j, 1j]}.items()}
    (one,) = verify_function(OfInnerProduct, at=at).repairs
    assert (one.before, one.after, one.proved) == ("g * b.conj()", "g * b", True)


def test_complex_values_follow_torch():
    """y = x**2 has the gradient conj(2x) * v."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x.conj() * g

    class Forgotten(Square):
        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    at = {"x": torch.tensor([1 + 2j, -0.5j], dtype=torch.complex128)}
    assert verify_function(Square, at=at).ok
    assert verify_function(Forgotten, at=at).verdict == "refuted"


def test_a_custom_operator():
    @torch.library.custom_op("symgrad_tests::scaled_square", mutates_args=())
    def scaled_square(x: torch.Tensor, k: float) -> torch.Tensor:
        return x * x * k

    def setup(ctx, inputs, output):
        x, k = inputs
        ctx.save_for_backward(x)
        ctx.k = k

    def right(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * g * x * ctx.k, None

    def wrong(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * g * x, None

    scaled_square.register_autograd(right, setup_context=setup)
    assert kinds(verify_function(scaled_square, at={"x": (3,), "k": 2.5})) == {"x": "proved"}
    scaled_square.register_autograd(wrong, setup_context=setup)
    assert kinds(verify_function(scaled_square, at={"x": (3,), "k": 2.5})) == {"x": "refuted"}


def test_an_operator_that_calls_an_operator():
    """Both are entered for every device, and torch's dispatcher has no kernel for the CPU alone."""

    @torch.library.custom_op("symgrad_tests::times", mutates_args=())
    def times(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y

    @torch.library.custom_op("symgrad_tests::cubed", mutates_args=())
    def cubed(x: torch.Tensor) -> torch.Tensor:
        return x**3

    def setup(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    for slope, verdict in ((3.0, "proved"), (2.0, "refuted")):
        cubed.register_autograd(
            lambda ctx, g, k=slope: k * times(g, times(ctx.saved_tensors[0], ctx.saved_tensors[0])), setup_context=setup
        )
        assert verify_function(cubed, at={"x": (2,)}).verdict == verdict


def test_an_argument_that_is_passed_by_name_alone():
    @torch.library.custom_op("symgrad_tests::by_name", mutates_args=())
    def by_name(x: torch.Tensor, *, k: float) -> torch.Tensor:
        return x * k

    def setup(ctx, inputs, keyword_only_inputs, output):
        ctx.k = keyword_only_inputs["k"]

    by_name.register_autograd(lambda ctx, g: g * ctx.k, setup_context=setup)
    assert verify_function(by_name, at={"x": (2,), "k": 2.0}).verdict == "proved"


def test_a_default_is_an_argument_of_the_jvp_too():
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(x, k=3.0):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.k, None

        @staticmethod
        def jvp(ctx, tangent, _):
            return tangent * ctx.k

    class Doubled(Scaled):
        @staticmethod
        def jvp(ctx, tangent, _):
            return 2 * tangent * ctx.k

    assert kinds(verify_function(Scaled, at={"x": (2,)})) == {"x": "proved", "jvp": "proved"}
    assert kinds(verify_function(Doubled, at={"x": (2,)})) == {"x": "proved", "jvp": "refuted"}


def test_a_function_that_writes_into_its_argument():
    class InPlace(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x.exp_())
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    report = verify_function(InPlace, at={"x": (2,)})
    assert report.verdict == "proved"
    assert not any("fails" in note for note in report.notes)  # autograd refuses it of a leaf alone


# ------------------------------------------------------------------------------------------------ bad input


class Short(Cube):
    @staticmethod
    def forward(ctx, x, y):
        return x * y

    @staticmethod
    def backward(ctx, g):
        return g


class Raises(Cube):
    @staticmethod
    def backward(ctx, g):
        return g @ torch.ones(17, 2, dtype=g.dtype)


class Changing(Cube):
    calls = 0

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        Changing.calls += 1
        return g * 3 * x**2 * Changing.calls


@pytest.mark.parametrize(
    ("function", "at", "error", "message"),
    [
        (
            Short,
            {"x": (3,), "y": (3,)},
            WrongShape,
            "Short.backward returns 1 gradients, and forward takes 2 arguments: x, y.\n"
            "Return one for each argument, in their order, and None for those that are no tensors.",
        ),
        (Cube, {"y": (2,)}, UnknownName, "at has 'y', but forward's arguments are x."),
        (Cube, {}, BadInput, "at has no value for x.\nPass values or shapes: at={'x': (3,)}."),
        (
            torch.sin,
            {"x": (2,)},
            BadInput,
            "verify_function takes a torch.autograd.Function, not a builtin_function_or_method.\n"
            "Pass a class whose backward is to be judged. For a model and its gradient as functions, use "
            "verify(model, hand).",
        ),
        (
            Cube,
            {"x": "hello"},
            BadInput,
            "at has no tensor of floats.\nPass tensors, arrays or shapes for forward's tensors.",
        ),
    ],
)
def test_what_cannot_be_judged_is_told(function, at, error, message):
    with pytest.raises(error) as caught:
        verify_function(function, at=at)
    assert str(caught.value) == message


def test_apply_instead_of_the_class():
    with pytest.raises(BadInput, match="Pass the class, not its apply"):
        verify_function(Cube.apply, at={"x": (2,)})


def test_a_backward_that_raises_shows_its_line():
    with pytest.raises(UserCodeFailed) as caught:
        verify_function(Raises, at={"x": (2,)})
    assert caught.value.what.startswith("Raises.backward raised RuntimeError")
    assert "return g @ torch.ones(17, 2, dtype=g.dtype)" in caught.value.where


def test_a_backward_that_changes_from_call_to_call():
    with pytest.raises((NotReproducible, BadInput, symgrad.SymgradError)):
        verify_function(Changing, at={"x": (2,)})


def test_it_is_public():
    assert symgrad.verify_function is verify_function
