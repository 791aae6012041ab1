"""Exercises of lesson 3: message passing from scratch."""

import numpy as np

from molfm.lessons.answers import Hint, array, call, near, number, word


def exercise_1(answer):
    """Add the numbers of the atoms to the left and to the right of the middle carbon."""
    received = number(answer)
    if near(received, 2.55 + 2.55 + 3.44, 0.006):
        raise Hint("You also counted the atom's own number. In the aggregation, only the neighbours count.")
    if near(received, (2.55 + 3.44) / 2, 0.006):
        raise Hint("That is the mean of the neighbours. We add them up.")
    if near(received, 3.44, 0.006) or near(received, 2.55, 0.006):
        raise Hint("That is one neighbour. The middle carbon has two.")
    if not near(received, 5.99, 0.006):
        raise Hint("Its neighbours are a carbon (2.55) and an oxygen (3.44). Add these two numbers.")
    return "2.55 from the carbon and 3.44 from the oxygen."


def exercise_2(function):
    """Add the row h[start] of each bond to the row `end` of an empty result."""
    import torch

    h = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])
    edge_index = torch.tensor([[0, 1, 2, 1, 2, 3], [1, 2, 3, 0, 1, 2]])  # a chain of four atoms
    before = h.clone()
    received = array(call(function, h, edge_index), (4, 2))
    expected = np.array([[2.0, 20.0], [5.0, 50.0], [10.0, 100.0], [4.0, 40.0]])
    if not torch.equal(h, before):
        raise Hint("Your function changes the states that it was given. Add to torch.zeros_like(h) instead.")
    if np.allclose(received, expected + before.numpy()):
        raise Hint("Each atom has also received its own state. Start from zeros, not from h.")
    if np.allclose(received, [[2, 20], [4, 40], [8, 80], [4, 40]]):
        raise Hint("Where an atom has two neighbours, one message overwrote the other. Use index_add, which adds.")
    one_way = torch.tensor([[0], [1]])  # a message in one direction shows whether start and end were swapped
    single = array(call(function, h[:2], one_way), (2, 2))
    if np.allclose(single, [[2, 20], [0, 0]]):
        raise Hint("Messages run backwards: they start at row 0 of edge_index and arrive at row 1.")
    if not np.allclose(received, expected) or not np.allclose(single, [[0, 0], [1, 10]]):
        raise Hint(f"For a chain of atoms with states 1, 2, 4, 8 the sums are 2, 5, 10, 4; yours are {received[:, 0]}.")
    return "Every atom receives the sum of its neighbours, and the states themselves are unchanged."


def exercise_3(answer):
    """Count the bonds between the two atoms along the shortest path. Each layer crosses one bond."""
    layers = number(answer)
    if near(layers, 7, 0):
        raise Hint(
            "Is that the number of atoms on the path, with both ends? Each layer crosses one bond, so count bonds."
        )
    if near(layers, 5, 0):
        raise Hint("Those are the atoms between the two. Each layer crosses one bond, so count bonds.")
    if not near(layers, 6, 0):
        raise Hint("Follow the path: OH, acid carbon, ring carbon, the next ring carbon, ester oxygen, …, CH₃.")
    return "OH – C – ring C – ring C – O – C – CH₃: six bonds, six layers."


def exercise_4(answer, r2):
    """Use r2[0] and r2[1]: divide the gain by what there was to gain, 1 − R²₀."""
    share = number(answer)
    zero, one = float(r2[0]), float(r2[1])
    if near(share, one - zero, 1e-3):
        raise Hint("That is the gain in R². Divide it by what the elements left unexplained, 1 − R²₀.")
    if near(share, one, 1e-3):
        raise Hint("That is R²₁ itself. How much of it is new, compared with R²₀?")
    if not near(share, (one - zero) / (1 - zero), 0.01):
        raise Hint(
            f"With R²₀ = {zero:.3f} and R²₁ = {one:.3f}: what is gained, and what could have been gained at most?"
        )
    return f"One layer explains {share:.0%} of what the elements left open."


def exercise_5(answer):
    """Think of which atom of OCC is which atom of CCO."""
    chosen = word(answer, ["same order", "reversed", "different numbers"])
    if chosen == "different numbers":
        raise Hint(
            "It is the same molecule, and a sum does not depend on the order of neighbours. Can the numbers change?"
        )
    if chosen == "same order":
        raise Hint("The first atom of OCC is the oxygen, the last atom of CCO. Which charge must stand there?")
    return "The charges follow their atoms: the oxygen has charge c, wherever it is written."
