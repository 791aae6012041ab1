"""Exercises of the quickstart."""

from molfm.lessons.answers import Hint, near, share, word


def exercise_1(answer):
    """Look for the deepest red in the drawing, or at the numbers `charges`, one per atom in the order of the SMILES."""
    symbol = word(answer, ["C", "N", "O", "H"])
    if symbol == "H":
        raise Hint("Hydrogens are not drawn. Which of the drawn atoms is the reddest?")
    if symbol == "N":
        raise Hint(
            "Nitrogen is negative too, but another element is more so. Red is negative; which atom is the reddest?"
        )
    if symbol == "C":
        raise Hint("Blue is positive: carbon gives electrons away here. Look for red.")
    return "Both oxygens pull electrons more strongly than the nitrogens do."


def exercise_2(answer):
    """A full table has as many cells as molecules times assays. How many of these hold a label?"""
    from molfm.data.mix import load

    mix = load("minimix", tasks=["toxcast"], progress=False)
    labels = mix.tasks[["n_train", "n_val", "n_test"]].to_numpy().sum()
    cells = int(mix.molecules.datasets.str.contains("toxcast").sum()) * len(mix.tasks)
    filled = float(labels / cells)
    empty = share(answer, 1 - filled)
    if near(empty, filled, 0.005):
        raise Hint("That is the share of cells that hold a label. The question asks for the empty ones.")
    if not near(empty, 1 - filled, 0.01):
        raise Hint("Multiply molecules by assays: so many cells. Which share of them is without a label?")
    return f"{1 - filled:.0%} of {cells:,} cells are empty."


def exercise_3(answer, result):
    """Does the interval in the top row (the mean of all assays) include zero?"""
    chosen = word(answer, ["help", "hurt", "cannot tell"])
    mean = result.means.iloc[0]
    truth = {"helps": "help", "hurts": "hurt"}.get(mean.verdict, "cannot tell")
    if chosen != truth:
        where = "includes zero" if truth == "cannot tell" else "lies on one side of zero"
        raise Hint(f"The interval of the mean {where}: from {mean.low:+.3f} to {mean.high:+.3f}. What follows?")
    return f"The difference is {mean.difference:+.3f}, with a 95% interval from {mean.low:+.3f} to {mean.high:+.3f}."
