"""The number of molecules of each dataset in a batch or an epoch. Imports no torch."""

from molfm.base.errors import InputError


def check_batches(
    batch_size: int | dict[str, int], steps: int | None, fractions: dict[str, float] | None, temperature: float | None
) -> None:
    """Check that settings of batches can be combined.

    Raises:
        ValueError: batch sizes per dataset come with fractions or a temperature, or without `steps`, or name no dataset.
    """
    if isinstance(batch_size, dict):
        if not batch_size:
            raise InputError("Expected a batch size for each dataset, found none.")
        if fractions or temperature:
            raise InputError("A batch size per dataset cannot be combined with fractions or a temperature.")
        if steps is None:
            raise InputError("A batch size per dataset needs `steps`: its streams have no common epoch.")


def shares(sizes: dict[str, int], fractions: dict[str, float], temperature: float) -> dict[str, int]:
    """Return how many molecules of each dataset an epoch has.

    Args:
        sizes: number of molecules of each dataset.
        fractions: fraction of a dataset that an epoch takes; 1 for datasets that are not named.
        temperature: T; the epoch's molecules are divided in proportion to (size · fraction)^(1/T). 1 keeps the
            proportions. Larger values draw small datasets more often and large ones less often; very large values give
            equal shares.

    Raises:
        ValueError: a dataset is unknown, a fraction is not above 0, or the temperature is below 1.
    """
    if unknown := [name for name in fractions if name not in sizes]:
        raise InputError(f"Unknown dataset {unknown[0]!r} in fractions; expected {', '.join(sizes)}.")
    if temperature < 1 or any(fraction <= 0 for fraction in fractions.values()):
        raise InputError(
            f"Expected fractions above 0 and a temperature of 1 or more, found {fractions}, {temperature}."
        )
    wanted = {name: size * fractions.get(name, 1.0) for name, size in sizes.items()}
    weights = {name: size ** (1 / temperature) for name, size in wanted.items()}
    total = sum(wanted.values())
    return {name: max(1, round(total * weight / sum(weights.values()))) for name, weight in weights.items()}
