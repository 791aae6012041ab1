"""Networks: layers, encoders, the multi-task network, prediction and embedding, and trained models by name.

Start with `molfm.pretrained`.
"""
