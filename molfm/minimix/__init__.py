"""How the embedded mix is built from the package index: `python -m molfm.minimix build`.

Needs the extra `quantum` for the xTB labels. Nothing else of molfm imports this wing.
"""
