"""Networks and recipes of arXiv 2310.04292 by name, such as `molfm.preset("toymix-gin")`, which prints as a table.

Widths, layers, heads, losses and schedule are the published ones. Only the widths of GatedGCN and MPNN++ are not
published for ToyMix; they were chosen to make these networks as large as the others. Known differences: LayerNorm comes
before a layer instead of after it, pooled sums are divided by 16, and the random walk of a single-atom molecule never
returns.
"""

from dataclasses import asdict, dataclass, field

import pandas as pd

from molfm.base.errors import InputError
from molfm.catalog.shipped import datasets_of
from molfm.nn.config import ModelConfig
from molfm.nn.layers import LAYERS
from molfm.nn.multitask import MultiTaskModel


def _paper(**shape) -> ModelConfig:
    return ModelConfig(num_layers=4, dropout=0.1, expansion=1, encoder="features", pooling="sum", **shape)


@dataclass(frozen=True)
class Preset:
    """An untrained network and its recipe; all except `name` and `mix` are settings of `molfm.train`."""

    name: str
    mix: str  # name of the data card that it is meant for
    config: ModelConfig
    epochs: int
    batch_size: int  # molecules per step
    warmup: float  # fraction of the steps in which the learning rate rises: 10 epochs
    learning_rate: float = 1e-4  # peak learning rate
    weight_decay: float = 0.0
    schedule: str = "linear"  # how the learning rate falls to zero
    losses: dict[str, str] = field(  # kind of task -> name of its loss in losses.LOSSES
        default_factory=lambda: {"regression": "mae", "binary": "bce", "ordinal": "hybrid_ce"}
    )

    @property
    def recipe(self) -> dict:
        """The training settings, as keywords of `molfm.train`."""
        return {name: value for name, value in vars(self).items() if name not in ("name", "mix", "config")}

    def parameters(self) -> dict[str, int]:
        """Return the number of parameters of the encoder, the trunk and each head (named level:dataset)."""
        rows = [
            {"dataset": item.name, "level": task.level, "kind": task.kind, "classes": task.classes}
            for item in datasets_of(self.mix)
            for task in item.tasks
            for _ in range(task.count or 1)  # a `*` stands for several columns
        ]
        tasks = pd.DataFrame(rows).assign(mean=0.0, std=1.0).astype({"classes": "Int64"})
        model = MultiTaskModel(self.config, tasks, seed=0)
        parts = {"encoder": model.encoder, "trunk": model.trunk} | {
            f"head {name}": h for name, h in model.heads.items()
        }
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}

    def table(self) -> pd.DataFrame:
        """Return all settings and the size of each part, one per row: part, setting, value."""
        counts = self.parameters()
        rows = [("model", name, value) for name, value in asdict(self.config).items()]
        rows += [("recipe", name, value) for name, value in self.recipe.items()]
        rows += [("parameters", name, f"{count:,}") for name, count in [*counts.items(), ("all", sum(counts.values()))]]
        return pd.DataFrame(rows, columns=["part", "setting", "value"])

    def __str__(self) -> str:
        lines = [f"{part:<12}{setting:<32}{value}" for part, setting, value in self.table().itertuples(index=False)]
        return "\n".join([f"{self.name}, for {self.mix}", *lines])

    def _repr_html_(self) -> str:
        return f"<p>{self.name}, for {self.mix}</p>{self.table().to_html(index=False)}"


_TOYMIX_HEADS = {"qm9": 256, "tox21": 64, "zinc12k": 32}
_LARGEMIX_HEADS = {"l1000_vcap": 128, "l1000_mcf7": 128, "pcba_1328": 64, "pcqm4m_g25_n4": 32}
_TOYMIX = {"gcn": 128, "gin": 96, "gine": 96, "gatedgcn": 64, "mpnnpp": 48}  # layer -> width
_LARGEMIX = {"gcn": 768, "gin": 768, "gine": 704}

PRESETS = {
    f"toymix-{layer}": Preset(
        f"toymix-{layer}",
        "toymix",
        _paper(layer=layer, hidden_channels=width, head_channels=_TOYMIX_HEADS),
        epochs=300,
        batch_size=320,
        warmup=10 / 300,
    )
    for layer, width in _TOYMIX.items()
} | {
    f"largemix-{layer}": Preset(
        f"largemix-{layer}",
        "largemix",
        _paper(layer=layer, hidden_channels=width, head_channels=_LARGEMIX_HEADS, three_classes=True),
        epochs=100,
        batch_size=1024,
        warmup=10 / 100,
    )
    for layer, width in _LARGEMIX.items()
}


def preset(name: str) -> Preset:
    """Return a published baseline: a network with its recipe, shown as a table with the sizes of its parts.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset {name!r}; expected one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def settings_of(model: str) -> dict:
    """Return the settings of a layer or preset by its name: fields of `ModelConfig`, and the recipe of a preset.

    Raises:
        ValueError: the name is unknown.
    """
    if model in LAYERS:
        return {"layer": model}
    if model in PRESETS:
        return asdict(PRESETS[model].config) | PRESETS[model].recipe
    raise InputError(f"Unknown model {model!r}; expected one of {', '.join([*LAYERS, *PRESETS])}.")
