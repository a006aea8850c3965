"""Ridge regression: the mean is over the residuals only, and the gradient divides the penalty by n as well."""

wrt = ("w",)
at = {"w": [1.0, -0.5], "X": [[1.0, 2.0], [0.5, -1.0], [2.0, 0.25]], "y": [1.0, 0.0, -1.0], "penalty": 0.25}
wrong = {"w"}
faulty = ("dw",)


def model(w, X, y, penalty):
    r = X @ w - y
    return (r**2).mean() / 2 + penalty / 2 * (w**2).sum()


def hand(w, X, y, penalty):
    n = X.shape[0]
    r = X @ w - y
    dw = (X.T @ r + penalty * w) / n
    return {"w": dw}


def fixed(w, X, y, penalty):
    n = X.shape[0]
    r = X @ w - y
    dw = X.T @ r / n + penalty * w
    return {"w": dw}
