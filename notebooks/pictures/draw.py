"""The pictures of the README: ``python notebooks/pictures/draw.py`` draws them again, into this folder or another."""

import runpy
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from symgrad import verify

HERE = Path(__file__).resolve().parent


def curves(axes):
    """The tanh network's gradient beside what was derived by hand, around the point that was asked about."""
    post = runpy.run_path(str(HERE.parent / "posts" / "tanh_rnn.py"))
    verify(post["model"], post["hand"], at=post["at"]).plot("w_h", axes=axes)
    axes.set_ylim(-60, 60)
    axes.set_title("wrong: the hand formula leaves the derivative")


def magnitudes(axes):
    """A slope that is right as a formula, and loses its digits in floats."""

    def slope(z):
        s = torch.sigmoid(z)
        return s * (1 - s)

    report = verify(lambda z: torch.sigmoid(z), slope, at={"z": torch.tensor(17.0)})
    report.plot("z", what="magnitudes", axes=axes)
    axes.set_title("right, and not safe: s * (1 - s) in float32")


def main(folder: Path) -> None:
    plt.rcParams["svg.hashsalt"] = "symgrad"
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    curves(axes[0])
    magnitudes(axes[1])
    figure.savefig(folder / "curves-and-magnitudes.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
