"""The error is a mean over the data; the derivative divides by the sum of the data, and not by how many there are."""

wrt = ("w",)
at = {"w": 0.25, "y": [1.5, -0.5, 2.0, 4.0]}
wrong = {"w"}
faulty = ("dw",)


def model(w, y):
    return ((3 - w * y) ** 2).mean()


def hand(w, y):
    dw = -(2 / sum(y)) * sum(y * (3 - w * y))
    return {"w": dw}


def fixed(w, y):
    dw = -(2 / len(y)) * sum(y * (3 - w * y))
    return {"w": dw}
