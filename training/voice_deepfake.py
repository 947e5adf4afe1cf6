"""Human or AI-generated speech, the encoder's member: ``python -m training.voice_deepfake`` writes its weights.

Small dense networks on the encoder's statistics over speech. Whole pages of samples and their synthesisers are left out
where anything is chosen or calibrated, because a detector meets synthesisers that it has not seen. Each network learns
without a quarter of the pages: the calibration is fitted on what it has not met of them. The answer is the average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.deepfake_encoder import SPEC
from training.data.datasets import Clip, class_indices
from training.evaluation.folds import Split, by_group, leave_many_out
from training.evaluation.groups import LANGUAGES
from training.fitting import calibrate, dense, features, heads, recipes, sound

SETS = ("voice_deepfake", "voice_deepfake_more", "voice_deepfake_further")
NETWORKS = 4
EVEN = 0.5  # a page counts by this power of its clips
FETCHED = SETS[2]
HANDED_OVER = 2.0  # a clip of the other two sets counts for so many of the fetched one
WORN, COPIED = 0.3, 0.08  # shares of the draws that are of these forms
OTHERS = "other languages"  # learned from only: a synthesiser's traces hardly depend on what is said


def page(clip: Clip) -> str:
    """What a clip is from: a repository, or for speech made for the set its synthesiser."""
    name = clip.fields["source"].removeprefix("github:").split("@")[0]
    return f"made here: {clip.fields['system']}" if name.startswith("made-here") else name


def system(clip: Clip) -> str:
    """The synthesiser; empty for a person."""
    return "" if clip.fields["system"] == "human" else clip.fields["system"]


def unseen(clips: Sequence[Clip], folds: int) -> list[Split]:
    """Pages left out, several at a time, and with them their speakers and synthesisers."""
    return leave_many_out(
        [page(clip) for clip in clips], [clip.group for clip in clips], [system(clip) for clip in clips], folds=folds
    )


class VoiceDeepfake(recipes.Encoded):
    """The recipe."""

    spec = SPEC
    trainer = "voice_deepfake"
    pooling = features.SPEECH
    forms = (0, 4, 5)  # the sets' clips are coded, filtered and faintly noisy at random already

    def listed(self, data: Path) -> list[Clip]:
        """All sets; the further one only where it has been fetched (``training.data.further_voices``)."""
        return sound.clips(data, *SETS)

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By page, synthesiser and speaker, and by speaker alone."""
        return self.with_and_without("pages and synthesisers left out", unseen(clips, 5), clips) | {
            "speakers left out": by_group([clip.label for clip in clips], [clip.group for clip in clips]),
        }

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By language and by class within it."""
        languages = [LANGUAGES.get(clip.fields["language"], OTHERS) for clip in clips]
        classes = [f"{clip.label}, {language}" for clip, language in zip(clips, languages, strict=True)]
        return {"language": languages, "class": classes}

    def head(self, rows: heads.Rows, labels: NDArray[np.int64], clips: Sequence[Clip]) -> dense.DenseHead:
        """Fits one head on clips as they are."""
        return dense.fit([dense.Form(rows, labels)], counted(clips), quarters(clips))

    def fit_head(self, clips: Sequence[Clip]) -> dense.DenseHead:
        """A head fitted on all forms of clips, whose labels are not alike."""
        return self.fit_calibrated(clips)[0]

    def fit_calibrated(self, clips: Sequence[Clip]) -> tuple[dense.DenseHead, Calibration]:
        """The head, and the calibration fitted on what each network says of what it has not met."""
        labels = class_indices(clips, self.classes)
        plain, worn, copied = (self.rows(clips, place) for place in range(len(self.forms)))
        forms = [
            dense.Form(plain, labels, 1.0 - WORN - COPIED),
            dense.Form(worn, labels, WORN),
            dense.Form(copied, labels_of_copies(clips, labels), COPIED),
        ]
        head = dense.fit(forms, counted(clips), quarters(clips))
        logits = dense.cross_fitted(head, plain, quarters(clips)).astype(np.float32)
        unmet = ~np.isnan(logits).any(axis=1)
        report = calibrate.fit(logits[unmet], labels[unmet], self.calibration_weights(clips)[unmet])
        return head, report.calibration


def labels_of_copies(clips: Sequence[Clip], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels of the form ``copied``: what a vocoder has made is AI-generated."""
    copies = np.array([sound.is_copy(clip) for clip in clips])
    return np.where(copies, SPEC.classes.index("AI_GENERATED"), labels)


def quarters(clips: Sequence[Clip]) -> list[Split]:
    """What each network learns from: all but a quarter of the pages; and what it has not met.

    Of that quarter a clip has been met whose speaker or synthesiser other pages have too. A synthesiser with pages in
    every quarter is learned by every network.
    """
    units = [page(clip) for clip in clips]
    found = []
    for part in leave_many_out(units, folds=NETWORKS):
        known = {value for place in part.train.tolist() for value in (clips[place].group, system(clips[place]))}
        unmet = [
            place for place in part.test.tolist() if not known & ({clips[place].group, system(clips[place])} - {""})
        ]
        found.append(Split(part.train, np.array(unmet, np.int64), part.name))
    return found


def counted(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """How much each clip counts; 1 on average.

    Classes of a language count alike, large pages less than their clips, and within a class a clip that was handed over
    for ``HANDED_OVER`` fetched ones.
    """
    keys = [(clip.label, page(clip)) for clip in clips]
    sizes = Counter(keys)
    weights = np.array([sizes[key] ** (EVEN - 1.0) for key in keys])
    weights *= [1.0 if FETCHED in clip.path.parts else HANDED_OVER for clip in clips]
    languages = np.array([clip.fields["language"] for clip in clips])
    labels = np.array([clip.label for clip in clips])
    for language in set(languages.tolist()):
        own = languages == language
        both = weights[own].sum()
        for label in set(labels[own].tolist()):
            weights[own & (labels == label)] *= both / weights[own & (labels == label)].sum()
    return np.asarray(weights / weights.mean())


RECIPE = VoiceDeepfake()

if __name__ == "__main__":
    recipes.main(RECIPE, __doc__)
