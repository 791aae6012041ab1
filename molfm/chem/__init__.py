"""Chemistry, by RDKit: SMILES to arrays of atoms and bonds, positional encodings, drawings, conformers.

The only wing, with `minimix`, that handles molecules as Python objects.
"""
