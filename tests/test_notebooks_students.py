"""Every student's notebook runs from top to bottom, with a hint at every open exercise."""

from course import build, exercises, lessons, run


@lessons
def test_a_student_meets_a_hint_at_every_open_exercise_and_no_error(master, tmp_path, monkeypatch):
    notebook = build.student(build.solution(master))
    verdicts = run(notebook, tmp_path, monkeypatch)
    assert verdicts == dict.fromkeys(exercises(notebook), False)
