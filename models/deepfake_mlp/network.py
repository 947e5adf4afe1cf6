"""The feature network: four specialised units and a trunk, in several copies whose logits are averaged."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dsp.features import FEATURE_NAMES
from dsp.spectral import BANDS
from models.deepfake_mlp import SPEC

WEIGHTS = Path(__file__).parent / "weights"
CONFIG = "config.json"
NATIVE = "model.safetensors"
INPUT = "input_values"
SHAPES = {INPUT: [-1, len(FEATURE_NAMES)]}

UNITS: dict[str, tuple[str, ...]] = {
    "stability": ("jitter", "shimmer"),
    "artifact": ("phase_coherence",),
    "dynamic_range": ("rms_variance",),
    "flatness": ("spectral_flatness",),
}
SKEWED = (  # spread over decades: read on a logarithmic scale
    "spectral_flatness",
    "pitch_std",
    "jitter",
    "shimmer",
    "rms_energy",
    "rms_variance",
    "spectral_flux",
)
LEVEL = "rms_energy"
# How the features follow the recording's level, which tells nothing: what a gain g (ratio) multiplies by a power of g,
# and what it adds, for each dB of it.
POWERS = {"rms_energy": 1.0, "rms_variance": 2.0}
PER_DB = {"mfcc_1_mean": BANDS**0.5}  # the first coefficient of an orthonormal cosine transform of decibels
SILENCE = 1e-6  # lowest level that is reckoned with, -120 dBFS
LOWEST = 1e-6  # added before the logarithm: a ratio or variance that could not be measured is 0
FARTHEST = 4.0  # standard deviations: values further out are drawn towards this, never past it


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the network.

    Attributes:
        copies: Networks trained side by side from different starts and batches; their logits are averaged.
        unit_width: Hidden values of a specialised unit.
        widths: Hidden layers of the trunk.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of features replaced by their mean while training.
        noise: Standard deviation of noise added to standardised features while training.
    """

    copies: int = 4
    unit_width: int = 8
    widths: tuple[int, ...] = (128, 64)
    dropout: float = 0.3
    input_dropout: float = 0.1
    noise: float = 0.1


class Parallel(nn.Module):
    """One linear layer for each copy: [copies, batch, before] to [copies, batch, after]."""

    def __init__(self, copies: int, before: int, after: int) -> None:
        """Draws the weights as He et al. (2015) do."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(copies, before, after) * (2.0 / before) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(copies, 1, after))

    def forward(self, values: Tensor) -> Tensor:
        """Applies each copy's layer to its values."""
        return torch.matmul(values, self.weight) + self.bias


class FeatureNetwork(nn.Module):
    """Logits from the 47 features, as measured: scaling is inside."""

    center: Tensor
    scale: Tensor
    skewed: Tensor
    powers: Tensor
    per_db: Tensor

    def __init__(self, config: Config) -> None:
        """Builds an untrained network with a neutral scaling.

        Args:
            config: Its size.
        """
        super().__init__()
        self.config = config
        count, copies = len(FEATURE_NAMES), config.copies
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("skewed", torch.tensor([name in SKEWED for name in FEATURE_NAMES]).float())
        for title, table in (("powers", POWERS), ("per_db", PER_DB)):
            self.register_buffer(title, torch.tensor([table.get(name, 0.0) for name in FEATURE_NAMES]))
        self.places = {unit: [FEATURE_NAMES.index(name) for name in names] for unit, names in UNITS.items()}
        self.units = nn.ModuleDict(
            {unit: _unit(copies, len(names), config.unit_width) for unit, names in UNITS.items()}
        )
        sizes = (count + len(UNITS), *config.widths)
        self.trunk = nn.ModuleList(Parallel(copies, a, b) for a, b in pairwise(sizes))
        self.head = Parallel(copies, sizes[-1], len(SPEC.classes))
        self.dropout = nn.Dropout(config.dropout)

    def standardise(self, features: Tensor) -> Tensor:
        """Features in standard deviations from the training mean, softly limited, same shape."""
        return FARTHEST * torch.tanh((self._levelled(features) - self.center) / (self.scale * FARTHEST))

    def _levelled(self, features: Tensor) -> Tensor:
        """Features as they would be at full level, skewed ones as logarithms."""
        place = FEATURE_NAMES.index(LEVEL)
        level = features[..., place : place + 1].clamp(min=SILENCE)
        values = features / level**self.powers - 20 * torch.log10(level) * self.per_db
        logarithms = torch.log(values.clamp(min=0.0) + LOWEST)
        return values * (1 - self.skewed) + logarithms * self.skewed

    def fit_scaling(self, features: Tensor) -> None:
        """Sets the scaling from training features [clips, 47]."""
        values = self._levelled(features)
        self.center.copy_(values.mean(dim=0))
        self.scale.copy_(values.std(dim=0).clamp(min=1e-3))

    def forward(self, input_values: Tensor) -> Tensor:
        """Mean logits of all copies.

        Args:
            input_values: float32 [batch, 47], as ``dsp.features.extract`` measures them.

        Returns:
            float32 [batch, 2].
        """
        return self.opinions(self.standardise(input_values)[None]).mean(dim=0)

    def opinions(self, standardised: Tensor) -> Tensor:
        """Logits of each copy.

        Args:
            standardised: [1 or copies, batch, 47].

        Returns:
            [copies, batch, 2].
        """
        shared = standardised.expand(self.config.copies, -1, -1)
        units = [torch.tanh(unit(shared[..., self.places[name]])) for name, unit in self.units.items()]
        values = torch.cat([shared, *units], dim=-1)
        for layer in self.trunk:
            values = self.dropout(nn.functional.gelu(layer(values)))
        return cast(Tensor, self.head(values))


def _unit(copies: int, inputs: int, width: int) -> nn.Sequential:
    """A specialised unit: a curve (or surface) over its own features, one value out."""
    return nn.Sequential(Parallel(copies, inputs, width), nn.GELU(), Parallel(copies, width, 1))


def save(network: FeatureNetwork, weights: Path = WEIGHTS) -> None:
    """Writes ``config.json`` and ``model.safetensors``."""
    weights.mkdir(parents=True, exist_ok=True)
    (weights / CONFIG).write_text(json.dumps({**asdict(network.config), "features": FEATURE_NAMES}, indent=1) + "\n")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, weights / NATIVE)


def load_native(weights: Path = WEIGHTS) -> FeatureNetwork:
    """The network of a folder, in evaluation mode.

    Raises:
        ValueError: It was trained on other features than the present ones.
    """
    data = json.loads((weights / CONFIG).read_text())
    if tuple(data.pop("features")) != FEATURE_NAMES:
        raise ValueError(f"{weights / CONFIG}: the features are not those of dsp.features")
    network = FeatureNetwork(Config(**{**data, "widths": tuple(data["widths"])}))
    network.load_state_dict(load_file(weights / NATIVE))
    return network.eval()
