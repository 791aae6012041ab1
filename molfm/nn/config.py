"""The settings of a network, in one dataclass."""

from dataclasses import dataclass

from molfm.base.errors import InputError
from molfm.nn.encoders import ENCODERS
from molfm.nn.layers import LAYERS, POOLINGS, VIRTUAL_NODES

NETWORKS = ("multitask", "minimol")  # their classes are in `nn.checkpoints`


@dataclass(frozen=True)
class ModelConfig:
    """The settings that define a network; saved beside its weights.

    Raises:
        ValueError: a name is unknown, or a number is out of range.
    """

    hidden_channels: int = 96  # width of the atom and bond vectors
    num_layers: int = 4  # message-passing layers
    dropout: float = 0.1  # probability, in layers and heads
    layer: str = "gine"  # kind of layer: gcn, gin, gine, gatedgcn or mpnnpp (`layers.LAYERS`)
    expansion: int = 2  # hidden width of a layer's MLPs, as a multiple of hidden_channels
    virtual_node: str = "none"  # "none", or how the virtual node pools the atoms: "mean", "sum" or "logsum"
    encoder: str = "codes"  # "codes" (learned vectors) or "features" (the numbers of arXiv 2310.04292)
    pooling: str = "sum+mean"  # how graph heads pool the atoms: sum, mean, max, logsum, or several joined by +
    head_channels: int | dict[str, int] | None = None  # hidden width of heads, or one per dataset; 0: linear heads
    three_classes: bool = False  # merge ordinal tasks of 5 classes into 3: {0, 1}, 2, {3, 4}
    features: tuple[str, ...] = ()  # numbers that graph heads read beside a molecule; molfm fills in those of the data
    network: str = "multitask"  # "multitask", or "minimol" with the published encoder and trunk (`minimol.py`)

    def __post_init__(self):
        object.__setattr__(self, "features", tuple(self.features))  # JSON has lists
        if self.hidden_channels < 1 or self.num_layers < 1 or not 0 <= self.dropout < 1:
            raise InputError(
                f"Expected hidden_channels and num_layers of 1 or more and a dropout in [0, 1), found {self}."
            )
        widths = self.head_channels.values() if isinstance(self.head_channels, dict) else [self.head_channels or 0]
        if self.expansion < 1 or min(widths, default=0) < 0:
            raise InputError(f"Expected an expansion of 1 or more and head_channels of 0 or more, found {self}.")
        words = [("layer", self.layer, LAYERS), ("virtual_node", self.virtual_node, VIRTUAL_NODES)]
        words += [("encoder", self.encoder, ENCODERS), ("network", self.network, NETWORKS)]
        words += [("pooling", way, POOLINGS) for way in self.pooling.split("+")]
        for name, word, known in words:
            if word not in known:
                raise InputError(f"Unknown {name} {word!r}; expected one of {', '.join(known)}.")

    @property
    def encodings(self) -> tuple[str, ...]:
        """The positional encodings that a batch must carry, by their names in `chem/encodings.py`."""
        return ENCODERS[self.encoder].encodings

    @property
    def pooled_channels(self) -> int:
        """The width of a molecule's embedding."""
        return self.hidden_channels * len(self.pooling.split("+"))

    def head_width(self, dataset: str) -> int:
        """Return the hidden width of a dataset's heads; `hidden_channels` unless set."""
        width = self.head_channels
        width = width.get(dataset) if isinstance(width, dict) else width
        return self.hidden_channels if width is None else width
