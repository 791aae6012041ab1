"""Exercises of lesson 4: what graph networks cannot tell apart."""

from molfm.lessons.answers import Hint, call, names, near, number, word


def exercise_1(answer):
    """Start with one colour. Split by the number of neighbours, then by the colours of the neighbours, until it stops."""
    found = number(answer)
    if near(found, 1, 0):
        raise Hint("One colour is only the start. Do all atoms of decalin have the same number of neighbours?")
    if near(found, 2, 0):
        raise Hint("That is the number after round 1: CH and CH₂. In round 2, do all CH₂ have the same neighbours?")
    if near(found, 10, 0):
        raise Hint("Ten is the number of atoms. Atoms that look alike share a colour, such as the two CH.")
    if near(found, 4, 0) or near(found, 5, 0):
        raise Hint(
            "Two of your colours should be one. Compare both rings, and go around each ring in both directions: "
            "mirror-image positions see the same neighbours."
        )
    if not near(found, 3, 0):
        raise Hint("Count kinds of atoms, not atoms: first CH and CH₂, then CH₂ by what stands beside it.")
    return "CH, CH₂ beside a CH, and CH₂ that has only CH₂ beside it."


def exercise_2(function):
    """Make a list with one pair per atom: its colour, and the sorted tuple of its neighbours' colours."""
    chain = [[1], [0, 2], [1, 3], [2, 4], [3]]  # five atoms in a row
    found = _classes(call(function, [1, 1, 1, 1, 1], chain), 5)
    if found == [0, 0, 0, 0, 0]:
        raise Hint(
            "Five atoms in a row that all had one colour should get two: ends and middle. Yours still have one. "
            "Does each signature contain all neighbours, and each of them once per bond (a tuple, not a set)?"
        )
    if found != [0, 1, 1, 1, 0]:
        raise Hint(f"In a chain of five equal atoms, both ends should be alike, and the middle three. Yours: {found}.")
    star = [[1, 2, 3], [0], [0], [0]]
    if _classes(call(function, [0, 1, 2, 1], star), 4) != [0, 1, 2, 1]:
        raise Hint("Two atoms that had different colours now share one. Put each atom's own colour into its signature.")
    fork = [[2, 3], [3, 2], [0, 1], [0, 1]]  # atoms 0 and 1 have the same neighbours, written in another order
    if _classes(call(function, [0, 0, 1, 2], fork), 4) != [0, 0, 1, 2]:
        raise Hint("Two atoms with the same neighbours got different colours, because of the order. Sort the colours.")
    counted = [[4], [4, 5], [], [], [0, 1], [1]]
    if _classes(call(function, [0, 0, 3, 3, 1, 1], counted), 6)[:2] != [0, 1]:
        raise Hint("One neighbour of a colour looks the same as two of it. A set forgets numbers; use a sorted tuple.")
    added = [[4, 5], [6, 7], [], [], [0], [0], [1], [1]]  # neighbours 1 and 3, or 2 and 2: the same sum
    if _classes(call(function, [0, 0, 9, 9, 1, 3, 2, 2], added), 8)[:2] != [0, 1]:
        raise Hint("Neighbours of colours 1 and 3 look like 2 and 2. Colours are names: keep them, do not add them.")
    return "Own colour, and the multiset of the neighbours' colours."


def _classes(colors, n):
    """Return colours renumbered in the order of their first atoms."""
    try:
        colors = list(colors)
        order = list(dict.fromkeys(colors))
    except TypeError as error:
        raise Hint("Your function should return a list with one colour per atom.") from error
    if len(colors) != n:
        raise Hint(f"For {n} atoms there should be {n} colours; yours are {len(colors)}.")
    return [order.index(color) for color in colors]


def exercise_3(answer):
    """Look for two rows of the table that differ in the mean and agree in the maximum."""
    found = word(answer, ["A", "B", "C"])
    sets = {"A": ([1, 1], [1]), "B": ([1, 2], [1, 2, 2]), "C": ([1, 2], [1, 1, 2, 2])}
    one, other = sets[found]
    same_mean = sum(one) / len(one) == sum(other) / len(other)
    if same_mean:
        raise Hint("Look at the column of the mean for these two rows: are the numbers different?")
    if max(one) != max(other):
        raise Hint("Here the maximum differs, too.")
    return "The shares differ (1/2 and 2/3 oxygen), so the means do. The largest value is oxygen's in both."


def exercise_4(answer):
    """Move the slider from 0 upwards, and stop at the first round after which the colours differ."""
    from molfm.lessons.playground import PAIRS, refine

    found = number(answer)
    pair = PAIRS["naphthalene, azulene"]
    needed = next(n for n in range(10) if len({tuple(sorted(part)) for part in refine(pair, n)}) == 2)
    if found == 0:
        raise Hint("Round 0 is the start: ten carbons in both. Move the slider to the right.")
    if found == 1 and needed != 1:
        raise Hint(
            "Does the network of your playground know more than elements? With elements only, round 1 just counts "
            "neighbours, and both molecules have two atoms with three."
        )
    if found == needed - 1:
        raise Hint("After that round, the colours of both molecules still occur equally often. Go on.")
    if found > needed:
        raise Hint("They differ after that round, but already earlier, too. Look for the smallest number.")
    if found != needed:
        raise Hint("Use compare('c1ccc2ccccc2c1', 'c1ccc2cccc-2cc1', rounds=…) with 0, 1, 2 … rounds.")
    return (
        f"{needed} rounds. The rings differ in size, and far from the shared bond an atom notices only when messages "
        "from the other side arrive."
    )


def exercise_5(answer):
    """Count the walks of three steps that end where they began, and divide by the number of all walks of three steps."""
    found = number(answer)
    if near(found, 25, 1e-6):
        raise Hint("Give a probability between 0 and 1, not percent.")
    if near(found, 1 / 8, 1e-6):
        raise Hint("One of the eight walks goes round to the left. Is there no other that ends at home?")
    if near(found, 1 / 3, 0.01):
        raise Hint("After many steps, all three atoms are equally likely. After exactly three steps they are not.")
    if near(found, 1 / 2, 1e-6):
        raise Hint("That is the probability after two steps: there and back. Take one step more.")
    if near(found, 0, 1e-6):
        raise Hint("In a chain, an odd number of steps never leads home. In a ring of three it can: go round.")
    if near(found, 1, 1e-6):
        raise Hint("A walk may also turn back: left, right, left ends beside home.")
    if not near(found, 1 / 4, 1e-6):
        raise Hint("There are 2 · 2 · 2 = 8 walks. Write them as LLL, LLR, … and follow each around the ring.")
    return "Two of eight: three times left, or three times right."


def exercise_6(answer, trained):
    """Compare the lowest R² with random walks (codes) with the highest R² without, for each task."""
    found = names(answer)
    tasks = set(trained.task)
    if unknown := found - tasks:
        raise Hint(f"{sorted(unknown)[0]!r} is no task of the table. The tasks are {', '.join(sorted(tasks))}.")
    for task in sorted(tasks):
        rows = trained[trained.task == task].set_index("encoder")["R² on test"]
        low, high = rows["codes"].min(), rows["without positions"].max()
        if (low > high) != (task in found):
            raise Hint(
                f"Look at {task} again: with random walks the lowest R² is {low:.3f}, without them the highest is {high:.3f}."
            )
    if not found:
        return "For neither of the two in these runs. More steps or seeds may show more."
    return f"For {' and '.join(sorted(found))}, the difference is larger than everything that the seeds change."
