"""Exercises of lesson 5: many tasks, one network."""

import numpy as np

from molfm.lessons.answers import Hint, array, call, check_half_width, near, number, share


def exercise_1(answer):
    """Each output of a linear layer has one weight per input number, and one bias."""
    added = number(answer)
    if near(added, 1920, 0):
        raise Hint("Those are the weights of the inputs. Each output also adds a constant, its bias.")
    if near(added, 193, 0):
        raise Hint("That is one assay. You add ten.")
    if near(added, 202, 0):
        raise Hint("Each of the ten outputs reads all 192 numbers, so multiply.")
    if near(added, 1921, 0):
        raise Hint("Does each output have its own bias, or do they share one?")
    if not near(added, 1930, 0):
        raise Hint("Count for one assay first: 192 inputs, each with a weight, and one bias. Then take ten of them.")
    return "(192 + 1) · 10: for each assay, 192 weights and a bias."


def exercise_2(answer):
    """Let f be the filled share. A table of n cells takes 4 · n bytes as an array, and 8 · f · n as triples."""
    filled = share(answer, 0.5)
    if near(filled, 2, 1e-9):
        raise Hint("A triple is twice as large as a cell. So how many triples may there be per cell?")
    if near(filled, 1 / 3, 0.01):
        raise Hint("With 12 bytes per triple that would be right. molfm's triples take 2 + 2 + 4 bytes.")
    if near(filled, 0.25, 1e-9):
        raise Hint("Check at 0.25: 100 cells take 400 bytes, and 25 triples 200. There is still room for more triples.")
    if not near(filled, 0.5, 1e-6):
        raise Hint("Take 100 cells: 400 bytes as an array. How many triples of 8 bytes fit into 400 bytes?")
    return "4 bytes for each cell against 8 for each label: equal when half of the cells are filled."


def exercise_3(answer):
    """Compute both losses at an error of 30, and divide. For Huber, use the second part of the formula."""
    times = number(answer)
    squared = 30**2
    if near(times, 2, 0.01):
        raise Hint("You used e² / 2 for Huber's loss. At an error of 30 it is above δ, so the second part holds.")
    if near(times, squared / 30, 0.01):
        raise Hint("That compares with the absolute error, 30. Huber's loss is a little smaller: δ (|e| − δ/2).")
    if near(times, squared, 0.01) or near(times, 29.5, 0.01):
        raise Hint("That is one of the two losses. Divide the squared error by Huber's loss.")
    if near(times, 29.5 / squared, 0.001):
        raise Hint("The other way round: divide the squared error by Huber's loss.")
    if not near(times, squared / 29.5, 0.1):
        raise Hint("The squared error is 30². Huber's loss with δ = 1 is 1 · (30 − 1/2).")
    return "900 against 29.5: with squared errors, one typing mistake counts like 900 errors of size 1."


def exercise_4(answer, data):
    """Divide the training labels of b3db/logBB by those of both tasks of b3db."""
    table = data.tasks.set_index("task").n_train
    few, many = int(table["b3db/logBB"]), int(table["b3db/BBB"])
    part = share(answer, few / (few + many))
    if near(part, few / many, 1e-3):
        raise Hint("You divided by BBB's labels only. Divide by those of both tasks.")
    if near(part, many / (few + many), 1e-3):
        raise Hint("That is BBB's part. We look for logBB's.")
    if near(part, 0.5, 1e-3):
        raise Hint("One half is its weight if each task had the same. Here each label has the same.")
    if near(part, few / table.sum(), 1e-3):
        raise Hint("You divided by the labels of all datasets. The head belongs to b3db alone.")
    if not near(part, few / (few + many), 2e-3):
        raise Hint(f"logBB has {few:,} training labels and BBB {many:,}. They share one head.")
    return (
        f"{few:,} of {few + many:,} labels: {few / (few + many):.0%} of the head's loss, if losses are of similar size."
    )


def exercise_5(function):
    """Compute the product a @ b. If it is below 0, subtract product / (b @ b) times b from a."""
    a, b = np.array([1.0, 0.0, 3.0]), np.array([-2.0, 1.0, 0.0])
    expected = a - (a @ b) / (b @ b) * b
    before = a.copy(), b.copy()
    found = array(call(function, a, b), (3,))
    if not (np.array_equal(a, before[0]) and np.array_equal(b, before[1])):
        raise Hint("Your function changes the gradients that it was given. Compute a new vector instead of using -=.")
    if np.allclose(found, a):
        raise Hint("These two gradients conflict (their product is −2), but yours returns a unchanged.")
    if np.allclose(found, a + (a @ b) / (b @ b) * b):
        raise Hint("The sign is wrong: subtract the part along b, then a @ b becomes 0.")
    if np.allclose(found, a - (a @ b) / np.sqrt(b @ b) * b):
        raise Hint("Divide by the squared length of b, b @ b, not by its length.")
    if np.allclose(found, a - (a @ b) * b):
        raise Hint("Divide the product by b @ b, the squared length of b.")
    if np.allclose(found, a - (a @ b) / (a @ a) * b):
        raise Hint("Divide by the squared length of b, not of a.")
    if not np.allclose(found, expected) and near(float(found @ b), 0, 1e-9):
        raise Hint("Your result is perpendicular to b, but more of a is gone than the part along b.")
    if not np.allclose(found, expected):
        raise Hint(f"Afterwards, a should be perpendicular to b: their product should be 0, yours is {found @ b:.2f}.")
    agreeing = np.array([1.0, 1.0, 0.0])
    if not np.allclose(array(call(function, a, agreeing), (3,)), a):
        raise Hint("If a and b agree (product above 0), nothing should change. Check the sign of a @ b first.")
    return "The part against b is gone, and what remains is perpendicular to b."


def exercise_6(answer, difference):
    """Compute mean ± t · std / √n of the values in `difference`, and give both ends as [low, high]."""
    low, high = array(answer, (2,))
    mean = float(np.mean(difference))
    if low > high:
        raise Hint("Give the lower end first.")
    if not near((low + high) / 2, mean, 1e-4):
        raise Hint(f"The middle of an interval of this kind is the mean of the differences, {mean:.4f}.")
    check_half_width((high - low) / 2, difference)
    if low > 0:
        return "The interval lies above 0: in this experiment, the other assays help."
    if high < 0:
        return "The interval lies below 0: in this experiment, the other assays hurt."
    return "The interval contains 0: these seeds cannot tell whether the other assays help."
