"""Fixtures: a cache of this session's own, and a toy dataset whose every label is known by construction."""

import shutil
import sys

import pandas as pd
import pytest
import torch
import yaml
from absl import logging as absl_logging
from rdkit import Chem

import molfm

torch.set_num_threads(1)
# mlcroissant and TensorBoard log through absl, whose handler closes its stream as soon as Jupyter configures logging.
# That must not be the stream in which pytest captures output.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

# Written in many atom orders on purpose: most of these strings are not what RDKit would write.
TOY_SMILES = [
    *["C", "O", "N", "OC", "CC", "C=O", "C#N", "N#CC", "OCC", "CC=O"],
    *["OC(=O)C", "C(C)(C)O", "NC(=O)C", "C=CC", "C#CCO", "CC(C)=O", "ClCCl", "FC(F)F", "BrCC", "CSC"],
    *["c1ccccc1", "Oc1ccccc1", "c1ccccc1C", "Nc1ccccc1", "c1ccncc1", "c1cc[nH]c1", "o1cccc1", "c1ccsc1"],
    *["C1CCCCC1", "C1CC1", "OC1CCCC1", "N1CCOCC1", "[O-]C(=O)C", "C[N+](C)(C)C", "C[C@H](N)C(=O)O"],
    *["C/C=C/C", "O=C1CCCN1", "Clc1ccccc1", "COc1ccccc1", "C(=O)(O)c1ccccc1", "CCOC(=O)C", "OCC(O)CO"],
]
TOY_TASKS = {
    "heavy": {"unit": "atoms", "domain": "physicochemical", "description": "number of heavy atoms"},
    "oxygen": {"kind": "binary", "domain": "biological", "description": "1: there is an oxygen"},
    "element": {"level": "node", "domain": "quantum", "description": "atomic number"},
    "order": {"level": "edge", "domain": "quantum", "description": "bond order, 1.5 where aromatic"},
}

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium():
    """The browser, or a skip with the reason."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on the path")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def molfm_home(tmp_path_factory):
    """An empty `$MOLFM_HOME`, so that no test meets, or leaves, a cache of the user."""
    home = tmp_path_factory.mktemp("molfm_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLFM_HOME", str(home))
        patch.setenv("npm_config_registry", "http://127.0.0.1:9")  # no test downloads scripts: nothing listens there
        yield home


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """An empty `$MOLFM_HOME` for one test alone."""
    monkeypatch.setenv("MOLFM_HOME", str(tmp_path / "own_home"))
    return tmp_path / "own_home"


@pytest.fixture(scope="session")
def make_card(tmp_path_factory):
    """A function that writes a table, and the card that describes it, and returns the card's path."""

    def make(name, table, tasks, folder=None, source=None, **facts):
        folder = folder or tmp_path_factory.mktemp("card")
        table.to_parquet(folder / f"{name}.parquet")
        source = {"location": f"file:{name}.parquet", **(source or {})}
        front = {"name": name, "sources": [source], "tasks": tasks, **facts}
        path = folder / f"{name}.md"
        path.write_text(f"---\n{yaml.safe_dump(front, sort_keys=False)}---\nA toy.\n")
        return path

    return make


@pytest.fixture(scope="session")
def toy_table():
    """The toy labels, counted by RDKit in the atom and bond order of each string; every tenth `heavy` is unmeasured."""
    mols = [Chem.MolFromSmiles(smiles) for smiles in TOY_SMILES]
    return pd.DataFrame(
        {
            "smiles": TOY_SMILES,
            "heavy": [None if i % 10 == 9 else float(mol.GetNumAtoms()) for i, mol in enumerate(mols)],
            "oxygen": [float(any(atom.GetSymbol() == "O" for atom in mol.GetAtoms())) for mol in mols],
            "element": [[float(atom.GetAtomicNum()) for atom in mol.GetAtoms()] for mol in mols],
            "order": [[bond.GetBondTypeAsDouble() for bond in mol.GetBonds()] for mol in mols],
        }
    )


@pytest.fixture(scope="session")
def toy_card(make_card, toy_table):
    """The path of the toy dataset's card; a random split, so that each part has both classes and all levels."""
    return make_card("toy", toy_table, TOY_TASKS, split="random", fractions=[0.6, 0.2, 0.2])


@pytest.fixture(scope="session")
def toy(toy_card):
    """The toy dataset as a `Mix`."""
    return molfm.load(toy_card, progress=False)


@pytest.fixture(scope="session")
def toy_run(toy):
    """A short run on all toy tasks; its weights are hardly trained."""
    return molfm.train(toy, steps=8, batch_size=16, hidden_channels=16, num_layers=2, name="toy", progress=False)
