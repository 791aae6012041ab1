"""Transfer and label-efficiency studies: how much other tasks, or a foundation model, help a task with few labels.

Start at `molfm.transfer` (`transfer.py`) and at `label_efficiency` (`label_efficiency.py`).
"""
