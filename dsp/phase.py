"""How steadily the phases of a signal advance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def phase_coherence(spectrum: NDArray[np.complex64]) -> float:
    """Mean resultant length of the deviation of the phase advance, weighted by energy.

    The phase of a steady sinusoid advances by the same angle from frame to frame. The deviation here is the advance
    into the next frame less the advance into this one (Bello et al., "On the use of phase and energy for musical onset
    detection", 2004), so that it is 0 for a steady sinusoid of any frequency. Each deviation is a unit vector, weighted
    by the energy of its bin and frame; the length of their mean is 1 when all agree, and falls as they scatter: white
    noise still has 0.63, because neighbouring frames share three quarters of their samples.

    Args:
        spectrum: complex64 [frames, bins].

    Returns:
        0 to 1; 0 for silence and for fewer than three frames.
    """
    if spectrum.shape[0] < 3:
        return 0.0
    energy = np.square(spectrum.real) + np.square(spectrum.imag)
    energy *= energy > np.finfo(np.float32).tiny * 1e8  # below this the direction is rounding
    unit = spectrum / np.sqrt(np.where(energy > 0, energy, np.inf))
    steady = np.conj(unit[1:-1])
    np.square(steady, out=steady)
    steady *= unit[2:]
    steady *= unit[:-2]
    weight = energy[1:-1]
    total = float(weight.sum(dtype=np.float64))
    return min(1.0, float(np.abs((steady * weight).sum(dtype=np.complex128))) / total) if total > 0 else 0.0
