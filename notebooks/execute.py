"""Runs the notebooks from top to bottom and stores them with their outputs: `make notebooks`."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SECONDS = 600
"""Longest time that a cell may take, on a busy machine."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Of every notebook: the kernel's own would name versions."""


def execute(path: Path, target: Path, sockets: Path) -> None:
    """Runs a notebook in a kernel of its own and writes it, without times and machine names, to the target.

    Args:
        path: of the notebook.
        target: file to write.
        sockets: folder for the kernel's sockets, which are then no network's.

    Raises:
        CellExecutionError: a cell failed; nothing is written.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},  # where Jupyter would run it
        config=Config(KernelManager={"transport": "ipc", "ip": str(sockets / path.stem)}),
    )
    client.execute()
    notebook.metadata = METADATA
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata = {}
    nbformat.write(notebook, target)


def clear(path: Path, target: Path) -> None:
    """Writes a notebook without outputs."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    nbformat.write(notebook, target)


def main() -> int:
    """Runs the named notebooks, or all; returns 2 if records were missing for some, which are left without outputs."""
    from nbclient.exceptions import CellExecutionError

    status = 0
    parser = argparse.ArgumentParser(description="Run notebooks from top to bottom and store their outputs.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of them if left out")
    parser.add_argument("--into", type=Path, help="write them to this folder instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "IPYTHONDIR": folder,  # no history is written to the user's
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_RUNTIME_DIR": folder,
            "OMP_NUM_THREADS": "1",  # other roundings with more
            "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, where Jupyter's widgets are not installed
        }
        for path in arguments.notebooks or sorted(FOLDER.glob("*.ipynb")):
            target = (arguments.into or path.parent) / path.name
            try:
                execute(path, target, Path(folder))
            except CellExecutionError as error:
                if error.ename != "UserError":
                    raise
                clear(path, target)
                status = 2
                sys.stderr.write(f"{path.name}: {error.evalue}\n")
            else:
                sys.stderr.write(f"{path.name}: done\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
