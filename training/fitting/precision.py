"""Half precision for the heavy layers, where the processor has units for it: about twice as fast on small networks."""

from __future__ import annotations

import torch
from torch import Tensor

from training.fitting.loop import Batch, Loss


def fast(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def reduced(loss: Loss, device: torch.device) -> Loss:
    """The same loss, its matrix products and convolutions computed in bfloat16 if the device is made for it."""

    def computed(module: torch.nn.Module, batch: Batch) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=fast(device)):
            return loss(module, batch)

    return computed
