"""Training: settings, plan, execution, the run folder, losses, metrics and evaluation.

Start with `molfm.train`, `molfm.start` or `molfm.finetune`; `python -m molfm.training RUN` trains a run folder.
"""
