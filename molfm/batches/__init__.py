"""From a view of the data to PyG batches: the order of molecules, the gathering of arrays, the loaders.

The lowest wing that imports torch.
"""
