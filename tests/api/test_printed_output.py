"""What a post shows as printed, beside what its code prints."""

import pytest

from symgrad import verify_script
from symgrad.api.printed_output import other_outputs
from symgrad.lifting.scripts.extraction import read_pasted

POST = """
>>> import torch
>>> w = torch.tensor(2.0, requires_grad=True)
>>> y = torch.tanh(0.5 * w)
>>> y.backward()
>>> dw = 0.5 * (1 - torch.tanh(0.5 * w) ** 2).item()
>>> print("by hand", dw, "autograd", w.grad.item())
by hand {hand} autograd {autograd}
"""


@pytest.mark.parametrize("autograd", ["0.20998714864253998", "0.20998716354370117", "0.20998715", "0.2100"])
def test_output_that_the_run_gives_too(autograd):
    report = verify_script(POST.format(hand="0.20998716354370117", autograd=autograd))
    assert "The line of output that the post shows is what the run prints." in report.notes


def test_output_of_another_run_is_told():
    (note,) = (n for n in verify_script(POST.format(hand="0.41", autograd="0.2100")).notes if "shows" in n)
    assert note.startswith(
        "Line 8 of the post shows 'by hand 0.41 autograd 0.2100', and the run prints 'by hand 0.2099"
    )


def outputs(text: str, printed: str, random: bool = False):
    return other_outputs(read_pasted(text), printed, random)


CODE = "import torch\nprint(1)\n\n"


def test_a_line_that_is_printed_again_and_again_may_be_any_of_them():
    assert outputs(f"{CODE}loss <> 0.25\n", "loss <> 1.0\nloss <> 0.5\nloss <> 0.25\n") == (
        "The line of output that the post shows is what the run prints.",
    )


def test_many_other_lines_are_counted():
    shown = "".join(f"loss <> {k}.5\n" for k in range(5))
    *told, last = outputs(CODE + shown, shown.replace(".5", ".75"))
    assert len(told) == 3
    assert last == "So do 2 lines more."


def test_random_numbers_are_others_without_a_seed():
    assert outputs(f"{CODE}x <> 0.5\n", "x <> 0.7\n", random=True) == (
        "What the post shows as printed comes of random numbers, which are others in this run.",
    )
    (note,) = outputs(f"{CODE.replace('print(1)', 'torch.manual_seed(0)')}x <> 0.5\n", "x <> 0.7\n", random=True)
    assert note == "Line 4 of the post shows 'x <> 0.5', and the run prints 'x <> 0.7'."


def test_what_was_printed_and_is_not_in_the_post_is_nothing():
    assert outputs(f"{CODE}Why?\n", "x <> 0.7\n") == ()
