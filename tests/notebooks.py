"""Run the notebooks: ``python tests/notebooks.py`` runs all and writes their outputs into them; with two arguments, one
notebook is run and written to a file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbclient
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def execute(path: Path, out: Path) -> None:
    """Run one notebook in its own folder; what depends on the time or the machine is not kept."""
    notebook = nbformat.read(path, 4)
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=where, record_timing=False
    ).execute()
    notebook.metadata.get("language_info", {}).pop("version", None)
    for shown in (one for cell in notebook.cells for one in cell.get("outputs", ())):
        shown.get("data", {}).pop(
            "application/vnd.symgrad.report+json", None
        )  # it has the paths of this machine's files
    nbformat.write(notebook, out)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        execute(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        for found in sorted(NOTEBOOKS.glob("*.ipynb")):
            execute(found, found)
