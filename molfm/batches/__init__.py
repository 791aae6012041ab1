"""From a view of the data to PyG batches: order the molecules, gather their arrays, load the batches.

The lowest wing that imports torch.
"""
