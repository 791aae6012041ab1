"""Build the embedded mix from the package index: `python -m molfm.minimix build`.

The xTB labels need the extra `quantum`. Nothing else in molfm imports this wing.
"""
