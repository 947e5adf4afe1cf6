"""Pictures of a training and of answers; Matplotlib, sized for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.evaluation import metrics
from training.evaluation.answers import Answers
from training.fitting.history import History

COLUMNS = 4  # of curves
BINS = 10  # of confidence
LEAST = 3  # clips in a bin that is drawn
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # marked on a DET curve
plt.rcParams.update({"figure.dpi": 72, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9})


def curves(title: str, history: History) -> None:
    """Loss, and every figure that was taken, over the epochs of each network."""
    names = [name for run in history.runs.values() for entry in run for name in entry if name != "epoch"]
    shown = list(dict.fromkeys(names))
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(3 * columns, 2.5 * rows + 0.3), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, shown, strict=False):
        for network, run in history.runs.items():
            points = [(entry["epoch"] + 1, entry[name]) for entry in run if name in entry]
            if points:
                axis.plot(*zip(*points, strict=True), ".-", label=network)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(title=name.replace("_", " "), xlabel="epoch")
    if len(history.runs) > 1:
        axes[0][0].legend()
    plt.suptitle(title)
    plt.tight_layout()
    plt.show()


def confusion(answers: Answers) -> None:
    """Rows are the truth, columns the answer; colours are shares of a row, numbers are clips."""
    counts = metrics.confusion(answers.labels, np.eye(len(answers.classes))[answers.decided])
    _, axis = plt.subplots(figsize=(1.6 + 0.8 * len(answers.classes), 1.2 + 0.7 * len(answers.classes)))
    axis.imshow(counts / counts.sum(axis=1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1.4)
    for (row, column), count in np.ndenumerate(counts):
        axis.text(column, row, count, ha="center", va="center")
    places = range(len(answers.classes))
    axis.set_xticks(places, answers.classes, rotation=20)
    axis.set_yticks(places, answers.classes)
    axis.set(xlabel="answer", ylabel="truth")
    axis.grid(visible=False)
    plt.tight_layout()
    plt.show()


def roc_and_det(models: Mapping[str, Answers]) -> None:
    """ROC and DET curves; with more than two classes one for each class against the rest."""
    _, (roc, det) = plt.subplots(1, 2, figsize=(9, 4))
    for title, answers in models.items():
        columns = [1] if len(answers.classes) == 2 else range(len(answers.classes))
        for column in columns:
            positive, scores = answers.labels == column, answers.served[:, column]
            alarms, misses = rates(positive, scores)
            area, label = metrics.roc_auc(positive, scores), " ".join((title, answers.classes[column])).strip()
            roc.plot(alarms, 1 - misses, label=f"{label} ({area:.3f})")
            det.plot(_probit(alarms), _probit(misses), label=label)
    roc.plot([0, 1], [0, 1], ":", color="grey")
    roc.set(title="ROC (area)", xlabel="false alarms", ylabel="hits")
    ticks = _probit(np.array(RATES))
    det.plot(ticks[[0, -1]], ticks[[0, -1]], ":", color="grey")  # errors are equal here
    det.set_xticks(ticks, RATES)
    det.set_yticks(ticks, RATES)
    det.set(title="DET", xlabel="false alarms", ylabel="misses", xlim=ticks[[0, -1]], ylim=ticks[[0, -1]])
    roc.legend()
    plt.tight_layout()
    plt.show()


def rates(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False alarm and miss rates at every threshold, from the highest to the lowest.

    Args:
        positive: bool [clips].
        scores: float64 [clips], larger for positive.

    Returns:
        Two arrays, float64 [thresholds].
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate(([0], np.cumsum(positive[order]))) / max(1, positive.sum())
    alarms = np.concatenate(([0], np.cumsum(~positive[order]))) / max(1, (~positive).sum())
    return alarms, 1.0 - hits


def calibration(answers: Answers) -> None:
    """How often an answer is right, by its probability, before and after calibration; on the line is honest."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, (title, rows) in zip(axes, (("before", answers.raw), ("after", answers.served)), strict=True):
        confidence, right = rows.max(axis=1), rows.argmax(axis=1) == answers.labels
        place = np.minimum((confidence * BINS).astype(int), BINS - 1)
        counts = np.bincount(place, minlength=BINS)
        drawn = np.flatnonzero(counts >= LEAST)
        axis.bar((np.arange(BINS) + 0.5) / BINS, counts / counts.sum(), 0.9 / BINS, color="lightgrey")
        axis.plot([0, 1], [0, 1], ":", color="grey")
        axis.plot(
            [confidence[place == one].mean() for one in drawn], [right[place == one].mean() for one in drawn], "o-"
        )
        error = metrics.expected_calibration_error(answers.labels, rows)
        score = metrics.brier(answers.labels, rows)
        axis.set(title=f"{title}: ECE {error:.3f}, Brier {score:.3f}", xlabel="probability of the answer")
    axes[0].set(ylabel="share that is right (bars: share of the answers)", ylim=(0, 1.02))
    plt.tight_layout()
    plt.show()


def spectrograms(sounds: Mapping[str, NDArray[np.float32]], rate: int) -> None:
    """Sounds side by side, in dB below the loudest point of each.

    Args:
        sounds: float32 [samples] by title.
        rate: Samples per second (Hz).
    """
    _, axes = plt.subplots(1, len(sounds), figsize=(3.2 * len(sounds), 2.6), squeeze=False, sharey=True)
    size = 2 ** round(np.log2(rate * 0.032))
    for axis, (title, samples) in zip(axes[0], sounds.items(), strict=True):
        padded = np.pad(samples, (0, max(0, size - samples.size)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4] * np.hanning(size)
        levels = 20 * np.log10(np.abs(np.fft.rfft(windows)).T + 1e-7)
        extent = (0, samples.size / rate, 0, rate / 2000)
        axis.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=levels.max() - 80, cmap="magma")
        axis.set(title=title, xlabel="seconds")
        axis.grid(visible=False)
    axes[0][0].set(ylabel="kHz")
    _photograph()


def mel(pictures: Mapping[str, NDArray[np.float32]]) -> None:
    """Mel spectrograms side by side, float32 [frames, bands] by title, in one scale of colours."""
    _, axes = plt.subplots(1, len(pictures), figsize=(3.2 * len(pictures), 2.6), squeeze=False, sharey=True)
    largest = max(np.abs(picture).max() for picture in pictures.values())
    for axis, (title, picture) in zip(axes[0], pictures.items(), strict=True):
        axis.imshow(picture.T, origin="lower", aspect="auto", vmin=-largest, vmax=largest, cmap="RdBu_r")
        axis.set(title=title, xlabel="frame")
        axis.grid(visible=False)
    axes[0][0].set(ylabel="band")
    _photograph()


def presence(sounds: Mapping[str, NDArray[np.float32]], found: Mapping[str, NDArray[np.float32]], rate: int) -> None:
    """Waveforms, and over them the probability that each frame is speech.

    Args:
        sounds: float32 [samples] by title.
        found: float32 [frames] by title.
        rate: Samples per second (Hz).
    """
    _, axes = plt.subplots(1, len(sounds), figsize=(3.2 * len(sounds), 2.2), squeeze=False, sharey=True)
    for axis, (title, samples) in zip(axes[0], sounds.items(), strict=True):
        seconds = samples.size / rate
        axis.plot(np.linspace(0, seconds, samples.size), samples / np.abs(samples).max().clip(1e-4), color="lightgrey")
        axis.plot(np.linspace(0, seconds, found[title].size), found[title])
        axis.set(title=title, xlabel="seconds", ylim=(-1.05, 1.05))
    axes[0][0].set(ylabel="probability of speech")
    plt.tight_layout()
    plt.show()


def plane(points: NDArray[np.float64], labels: Sequence[str], axes: tuple[str, str]) -> None:
    """Clips as points, float64 [clips, 2], in a colour for each label."""
    _, axis = plt.subplots(figsize=(4.5, 3.6))
    names = np.array(labels)
    for name in dict.fromkeys(labels):
        axis.plot(*points[names == name].T, "o", label=name, alpha=0.7)
    axis.set(xlabel=axes[0], ylabel=axes[1])
    axis.legend()
    plt.tight_layout()
    plt.show()


def pictures(shown: Sequence[NDArray[np.uint8]], title: str, columns: int = 8) -> None:
    """Pictures, uint8 RGB [height, width, 3], in rows."""
    rows = -(-len(shown) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(1.2 * columns, 1.25 * rows + 0.3), squeeze=False)
    for place, axis in enumerate(axes.flat):
        axis.axis("off")
        if place < len(shown):
            axis.imshow(shown[place])
    plt.suptitle(title)
    _photograph()


def _photograph() -> None:
    """Shows the figure as JPEG: as PNG, spectrograms and faces are five times as large."""
    plt.tight_layout()
    file = io.BytesIO()
    plt.savefig(file, format="jpeg", pil_kwargs={"quality": 80})
    plt.close()
    display(Image(file.getvalue(), format="jpeg"))


def _probit(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations of a normal distribution that leave such a share above, of rates kept within 0.1 %."""
    grid = np.linspace(-3.5, 3.5, 1401)
    density = np.exp(-(grid**2) / 2)
    shares = np.cumsum(density) / density.sum()
    return np.interp(np.clip(rate, 1e-3, 1 - 1e-3), shares, grid)
