"""The same in a notebook, where standard input and output are somebody else's."""

import pathlib

import pytest


def test_a_notebook_shows_the_report(monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[1]))
    cells = ["import plummet\nplummet.check('linear', lambda x, weight: x @ weight.T, stages=[0, 2])"]
    cells += ["try:\n    plummet.check('softmax', lambda x: x, stages=0)\nexcept plummet.Failed as f:\n    print(f)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    right, wrong = (cell.outputs[-1] for cell in notebook.cells)
    assert "PASS" in right["data"]["text/plain"]
    assert "FAIL softmax:fwd:f32" in wrong["text"]
