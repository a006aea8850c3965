"""Run the notebooks: ``python tests/support/notebooks.py`` runs all and writes their outputs into them; with two
arguments, one notebook is run and written to a file; a third is code that is run before its first cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbclient
import nbformat
from nbformat.v4 import new_code_cell

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def execute(path: Path, out: Path, before: str = "") -> None:
    """Run one notebook in its own folder; what depends on the time or the machine is not kept."""
    notebook = nbformat.read(path, 4)
    extra = [new_code_cell(before)] if before else []
    notebook.cells[:0] = extra
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=where, record_timing=False
    ).execute()
    del notebook.cells[: len(extra)]
    notebook.metadata.get("language_info", {}).pop("version", None)
    for shown in (one for cell in notebook.cells for one in cell.get("outputs", ())):
        shown.get("data", {}).pop(
            "application/vnd.symgrad.report+json", None
        )  # it has the paths of this machine's files
    nbformat.write(notebook, out)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        execute(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
    else:
        for found in sorted(NOTEBOOKS.glob("*.ipynb")):
            execute(found, found)
