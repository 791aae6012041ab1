"""From a table to a mix: checked labels, the prepared store, splits, the join by molecule, the audit.

`molfm.load` is the entry point. Nothing here imports torch, except to read a `.pt` split file for the first time.
"""
