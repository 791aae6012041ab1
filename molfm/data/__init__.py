"""From a table to a mix: checked labels, the prepared store, splits, the join by molecule, the audit.

`molfm.load` is the entrance. Nothing here imports torch.
"""
