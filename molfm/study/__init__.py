"""Transfer and label-efficiency studies: what adding other tasks, or a foundation model, does for a task with few labels.

Plan, sources, jobs, statistics, comparison, wording and report. `molfm.transfer` is the entrance.
"""
