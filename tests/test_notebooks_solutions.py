"""Every solution runs from top to bottom, and its checks pass. In a file of its own, so that it runs beside others."""

from course import build, exercises, lessons, run


@lessons
def test_every_check_of_a_solution_passes(master, tmp_path, monkeypatch):
    notebook = build.solution(master)
    verdicts = run(notebook, tmp_path, monkeypatch)
    assert verdicts == dict.fromkeys(exercises(notebook), True)
