"""Exercises of lesson 11: scaling up."""

import numpy as np

from molfm.lessons.answers import Hint, call, near, number


def exercise_1(answer):
    """Count the filled cells first. Each of them is a label of 2 + 2 + 4 bytes."""
    gigabytes = number(answer)
    labels = 100e6 * 3000 * 0.02
    if near(gigabytes, 8e-9 * labels, 0.5):
        return "6 billion labels of 8 bytes: 48 GB instead of 1,200 GB."
    if near(gigabytes, 4e-9 * labels, 0.5):
        raise Hint("That counts the values only. Each label also stores its place and its task.")
    if near(gigabytes, 1200, 1):
        raise Hint("That is the dense table, with all empty cells. Only 2% of the cells are labels.")
    if near(gigabytes, 2400, 1):
        raise Hint("That is as if every cell were filled. Only 2% are.")
    if near(gigabytes, 1e-9 * labels, 0.1):
        raise Hint("That is the number of labels in billions. Each takes 8 bytes.")
    if near(gigabytes, 8 * labels, 1e9):
        raise Hint("That is in bytes. A gigabyte (GB) is 10⁹ bytes.")
    raise Hint("Multiply: molecules, tasks, share of filled cells, bytes per label. Then divide by 10⁹.")


def exercise_2(function, parts):
    """The formula above has one term per row of the table."""
    import pandas as pd

    toy = pd.DataFrame({"weights": [10, 100, 1000], "items": [7, 3, 1]}, index=["trunk", "node:a", "graph:b"])
    kept = toy.copy()
    found = call(function, toy)
    if isinstance(found, pd.Series | pd.DataFrame) or (np.ndim(found) > 0 and np.size(found) > 1):
        raise Hint("Return one number for the whole step: add up the rows.")
    total = number(found)
    if not toy.equals(kept):
        raise Hint("Your function changes the table that it was given.")
    products = (toy.weights * toy["items"]).sum()
    if near(total, products, 1e-6) or near(total, 2 * products, 1e-6):
        raise Hint(
            "How many operations per weight and item? One multiplication and one addition forward, and the gradient "
            "needs the same twice."
        )
    if near(total, 6 * toy.weights.sum() * toy["items"].sum(), 1e-6):
        raise Hint("Not every weight reads every item. Multiply row by row first, then add.")
    if near(total, 6 * toy.weights.sum(), 1e-6):
        raise Hint("That counts one item. Each weight is applied to every item that its part reads.")
    if not near(total, 6 * products, 1e-6):
        raise Hint(
            "For weights 10, 100, 1000 and items 7, 3, 1, the sum of products is 70 + 300 + 1000. "
            f"Your function returns {total:g}."
        )
    work = 6 * parts.weights * parts["items"]
    return f"The {work.idxmax()} does {work.max() / work.sum():.0%} of the work, because it reads every atom."


def exercise_3(answer):
    """First the bytes that the weights need, at 16 per weight; then the bytes of one molecule."""
    batch = number(answer)
    free, each = 80e9 - 16 * 10.3e6, 60 * 18 * 16 * 336
    if near(batch, free / each, 60):
        return f"One molecule takes {each / 1e6:.1f} MB. The weights with gradients and optimizer take only 0.16 GB of the 80."
    if near(batch, 18 * free / each, 1100):
        raise Hint("That is the number of atoms that fit. A molecule has 18 of them.")
    if near(batch, 16 * free / each, 1000):
        raise Hint("You counted one layer. The activations of all 16 layers must be kept.")
    if near(batch, 2 * free / each, 120):
        raise Hint("That is the answer for activations in bf16. The question asks for float32.")
    if near(batch, 60 * free / each, 4000) or near(batch, 15 * free / each, 900) or near(batch, 4 * free / each, 240):
        raise Hint("Each atom, layer and channel takes 60 bytes in all: many results are kept per layer, not one.")
    if near(batch, free / each / 1000, 1) or near(batch, free / each * 1000, 60_000):
        raise Hint("A factor of 1,000 went wrong: 80 GB are 80 × 10⁹ bytes.")
    raise Hint(
        f"Your answer leaves {80e3 / max(batch, 1e-9):,.3g} MB for each molecule. Multiply its atoms, layers and "
        "channels, and then the bytes of each."
    )


def exercise_4(function):
    """Add the sums of all pieces, and divide by all labels."""
    sums, counts = np.array([12.0, 3.0, 0.0]), np.array([40.0, 4.0, 0.0])
    with np.errstate(all="ignore"):
        loss = number(call(function, sums.copy(), counts.copy()))
        if near(loss, 15 / 44, 1e-6):
            second = number(call(function, np.array([2.0, 4.0]), np.array([1.0, 4.0])))
            if near(second, 6 / 5, 1e-6):
                return "Each label counts the same, whichever piece it is in. A piece without labels changes nothing."
            raise Hint(f"For sums 2, 4 and counts 1, 4 your function returns {second:g}. Use what it is given.")
        if np.isnan(loss):
            raise Hint("A piece without labels gives 0 / 0. Add up first, then divide once.")
        if near(loss, (12 / 40 + 3 / 4) / 3, 1e-6) or near(loss, (12 / 40 + 3 / 4) / 2, 1e-6):
            raise Hint(
                "That is the mean of the pieces' means. A label in a piece with 4 labels then counts ten times as much as "
                "one in a piece with 40."
            )
        if near(loss, 5, 1e-6):
            raise Hint("You divide by the number of pieces. Divide by the number of labels.")
        if near(loss, 15, 1e-6):
            raise Hint("That is the sum of all losses. The loss of a step is a mean over labels.")
    raise Hint(
        f"For sums 12, 3, 0 and counts 40, 4, 0 your function returns {loss:g}. How many labels are there in all?"
    )


def exercise_5(function):
    """Divide the molecules that are seen by the rate of all GPUs together; 3,600 seconds are an hour."""
    one = number(call(function, 3_600_000, 5, 1000))
    if near(one, 5 * 3600, 1e-6):
        raise Hint("That is seconds. Return hours.")
    if near(one, 5 * 60, 1e-6):
        raise Hint("That is minutes. Return hours.")
    if near(one, 1, 1e-6):
        raise Hint("Each epoch sees all molecules again: did you use `epochs`?")
    if not near(one, 5, 1e-6):
        raise Hint(f"3.6 million molecules at 1,000 per second take one hour, so 5 epochs take 5. You return {one:g}.")
    alone = number(call(function, 3_600_000, 5, 1000, 1, 0.5))
    if not near(alone, 5, 1e-6):
        raise Hint("One GPU waits for nobody: `efficiency` counts only for more than one GPU.")
    eight = number(call(function, 3_600_000, 5, 1000, 8, 0.9))
    if near(eight, 5, 1e-6):
        raise Hint("With 8 GPUs nothing becomes faster: use `gpus`.")
    if near(eight, 5 / 8, 1e-6):
        raise Hint("8 GPUs with an efficiency of 0.9 do the work of 7.2, not of 8.")
    if near(eight, 5 / 8 * 0.9, 1e-6):
        raise Hint("An efficiency below 1 must make the training longer, not shorter.")
    if near(eight, 5 * 8 / 0.9, 1e-3) or near(eight, 5 * 8 * 0.9, 1e-3):
        raise Hint("More GPUs made it longer: the rates of the GPUs add up.")
    if not near(eight, 5 / 7.2, 1e-6):
        raise Hint(f"8 GPUs with an efficiency of 0.9 should take 5 / 7.2 hours here. You return {eight:g}.")
    days = number(call(function, 82_071_899, 10, 5_000)) / 24
    return f"For example UltraLarge, 10 epochs at 5,000 molecules per second: {days:.1f} days on one GPU."
