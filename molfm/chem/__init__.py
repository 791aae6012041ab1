"""Chemistry, by RDKit: SMILES to arrays of atoms and bonds, positional encodings, drawings, conformers.

Stores and batches hold these arrays, never a Python object per molecule.
"""
