"""Installing molfm on Colab never downgrades what Colab has: no requirement, of molfm or of what it needs, is too low."""

from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

COLAB = {
    canonicalize_name(name): Version(number)
    for line in Path(__file__).with_name("colab.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for name, number in [line.split("==")]
}


def requirements(name: str, seen: set[str]) -> list[tuple[str, Requirement]]:
    """Return who requires what, for a package and everything that it needs on Colab."""
    if (name := canonicalize_name(name)) in seen:
        return []
    seen.add(name)
    try:
        texts = requires(name) or []
    except PackageNotFoundError:  # a part of another platform
        return []
    found = [Requirement(text) for text in texts]
    found = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [(name, one) for one in found] + [row for one in found for row in requirements(one.name, seen)]


def lowers(requirement: Requirement, has: Version) -> bool:
    """Return whether a requirement forbids a version for being too high."""
    return any(
        spec.operator in ("<", "<=", "==", "~=") and has not in requirement.specifier and has > _bound(spec.version)
        for spec in requirement.specifier
    )


def _bound(version: str) -> Version:
    return Version(version.removesuffix(".*"))


def test_no_requirement_downgrades_a_package_of_colab():
    found = requirements("molfm", set())
    bad = [
        f"{who} needs {one}, Colab has {COLAB[key]}"
        for who, one in found
        if (key := canonicalize_name(one.name)) in COLAB and lowers(one, COLAB[key])
    ]
    assert not bad
    assert {"torch", "numpy", "pandas", "pydantic"} <= {canonicalize_name(one.name) for _, one in found}


@pytest.mark.parametrize("name", ["torch", "numpy", "pandas", "ipywidgets", "pyarrow"])
def test_molfm_takes_the_large_packages_of_colab_as_they_are(name):
    wanted = [
        one for who, one in requirements("molfm", set()) if canonicalize_name(one.name) == name and who == "molfm"
    ]
    assert len(wanted) == 1
    assert COLAB[name] in wanted[0].specifier


@pytest.mark.parametrize(("text", "has", "bad"), [("a<2", "2.1", True), ("a~=1.4", "2.0", True), ("a>=3", "2", False)])
def test_a_bound_from_above_is_noticed(text, has, bad):
    assert lowers(Requirement(text), Version(has)) == bad
