"""What is wrong on another branch than the one that the user's own point takes is told so in the first sentence."""

import numpy as np

from symgrad import verify


def rectified(x):
    return np.where(x > 0, 3 * x, x**2)


def test_the_first_sentence_says_that_the_own_point_is_on_another_branch():
    report = verify(rectified, lambda x: np.where(x > 0, 3.0, x), at={"x": 1.5})
    assert report.verdict == "refuted"
    said, what = str(report).split("\n\n")[0].replace("\n", " ").split(": ")
    assert said == "Wrong on another branch of the code than your own point takes"
    assert what == "your gradient for x is not the derivative there."


def test_it_does_not_say_so_where_the_own_point_is_wrong():
    report = verify(rectified, lambda x: np.where(x > 0, 3.0, x), at={"x": -1.5})
    assert str(report).startswith("Wrong: your gradient for x is not the derivative.")
