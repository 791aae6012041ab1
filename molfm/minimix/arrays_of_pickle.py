"""Reads the columns of a pickled DataFrame without running anything that the pickle names.

A pickle says which functions to call. Here it can name NumPy's arrays and their types. Every other name, such as those
of pandas' own classes, becomes a placeholder that keeps its arguments and does nothing. So a foreign pickle can fail,
but it cannot execute code, and no version of pandas has to match.
"""

import pickle
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pandas as pd

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("builtins", "slice"): slice,
}
_KNOWN = {  # the names of a pickled DataFrame; any other is an error
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas.core.internals.blocks", "new_block"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.arrays.integer", "IntegerArray"),
    ("pandas.core.arrays.integer", "Int8Dtype"),
    ("functools", "partial"),
}


class _Placeholder:
    """What a pickle wanted to make: the arguments of the call, and the state that was set."""

    def __init__(self, *arguments, **_):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state) -> None:
        self.state = state

    def __call__(self, *arguments) -> "_Placeholder":
        return _Placeholder(*arguments)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if (module, name) in _KNOWN:
            return type(name, (_Placeholder,), {})
        raise pickle.UnpicklingError(f"The pickle names {module}.{name}, which is no part of a table.")


def read_columns(file: BinaryIO) -> pd.DataFrame:
    """Return the columns of a pickled DataFrame.

    Args:
        file: the pickle, protocol 4, as pandas 1.3 to 2 write it.

    Raises:
        pickle.UnpicklingError: the pickle names something that is no part of a table.
    """
    blocks, (names, _) = _Unpickler(file).load().state["_mgr"].arguments
    names = names.arguments[1]["data"]
    columns = {}
    for block in blocks:
        places = np.arange(len(names))[block.arguments[1]]
        columns |= dict(zip(names[places], _rows(block.arguments[0]), strict=True))
    return pd.DataFrame({name: columns[name] for name in names})


def _rows(values: np.ndarray | _Placeholder) -> Iterator[np.ndarray]:
    """Yield the columns of one block: the rows of an array, or an array with a mask."""
    if isinstance(values, np.ndarray):
        yield from values
        return
    state = values.state
    numbers, mask = (state["_data"], state["_mask"]) if isinstance(state, dict) else (state[1], state[0])
    yield np.where(mask, np.nan, numbers.astype(float))
