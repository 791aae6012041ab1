import pytest

from molfm.base.names import TaskName, UnknownName, did_you_mean, listed, resolve, resolve_one

TASKS = [
    TaskName("logP/logP", "logP", "graph"),
    TaskName("logP/logD", "logP", "graph"),
    TaskName("ki/IC50/nM", "ki", "graph"),
    TaskName("xtb/charge", "xtb", "node"),
    TaskName("xtb/order", "xtb", "edge"),
    TaskName("dft/charge", "dft", "node"),
    TaskName("assays/a1", "assays", "graph", "binding"),
    TaskName("assays/b1", "assays", "graph", "edge"),
    TaskName("assays/a2", "assays", "graph", "binding"),
    TaskName("assays/c1", "assays", "edge", ""),
]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("xtb/charge", ["xtb/charge"]),  # an id
        ("logD", ["logP/logD"]),  # a task's own name
        ("logP", ["logP/logP"]),  # a task before a dataset of that name
        ("xtb", ["xtb/charge", "xtb/order"]),  # a dataset
        ("xtb/node", ["xtb/charge"]),  # a dataset and level
        ("IC50/nM", ["ki/IC50/nM"]),  # a name that contains a slash
        ("ki/IC50/nM", ["ki/IC50/nM"]),
        ("order", ["xtb/order"]),
        ("assays/binding", ["assays/a1", "assays/a2"]),  # a dataset and family
        ("assays/edge", ["assays/c1"]),  # a level before a family of that name
    ],
)
def test_a_name_is_an_id_else_a_task_else_a_dataset_or_its_level(name, ids):
    assert [TASKS[i].id for i in resolve(name, TASKS, "here")] == ids


def test_the_name_of_several_tasks_is_an_error_that_lists_them():
    with pytest.raises(UnknownName, match=r"'charge' is the name of 2 tasks of here: xtb/charge, dft/charge\."):
        resolve("charge", TASKS, "here")


@pytest.mark.parametrize("name", ["nM", "IC50", "log", "", "binding", "assays/", "assays/None"])
def test_a_part_of_a_name_matches_nothing(name):
    with pytest.raises(UnknownName, match=f"No task '{name}' in here"):
        resolve(name, TASKS, "here")


def test_one_task_is_expected_where_a_dataset_has_several():
    assert resolve_one("dft", TASKS, "here") == 5
    with pytest.raises(UnknownName, match=r"'xtb' stands for 2 tasks of here: xtb/charge, xtb/order\. Expected one\."):
        resolve_one("xtb", TASKS, "here")


def test_messages_name_the_nearest_and_cut_long_lists():
    assert did_you_mean("lgoD", ["logD", "logP", "mu"]) == " Did you mean 'logD'?"
    assert did_you_mean("zzz", ["logD"]) == ""
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
