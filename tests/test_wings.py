"""The house stands: imports only go down, and nothing goes round in circles. Lazy and type-checking imports count."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import molfm

# From the ground up. A wing may import from the wings before it; what stands on one line may not import from each other.
WINGS = (
    *("base", "plots", "chem", "catalog", "data", "minimix", "explore", "batches"),
    *("nn", "training", "study", "tuning", "selection", "lessons", "app"),
)
ROOT = Path(molfm.__file__).parent


def imports() -> dict[str, set[str]]:
    """Return, for each module of molfm, the modules of molfm that it imports anywhere in its text."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    found = {}
    for name, path in modules.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: relative imports are not counted, write from molfm.… import …"
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            else:
                continue
            inner = {text.removeprefix("molfm.") for text in names if text.startswith("molfm.")}
            found[name] |= {text for text in inner if text in modules} - {name}
    return found


def test_every_module_is_in_a_wing():
    assert {name.split(".")[0] for name in imports()} == {*WINGS, "__init__"}


def test_no_import_goes_up():
    def wing(name: str) -> int:
        return WINGS.index(name.split(".")[0])

    up = [f"{a} imports {b}" for a, found in imports().items() for b in found if wing(b) > wing(a)]
    assert not up


def test_no_circle():
    TopologicalSorter(imports()).prepare()  # raises CycleError, which names the circle
