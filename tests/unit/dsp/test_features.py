"""The 47 features: names, librosa's values where librosa defines them, and finite answers for anything."""

import time
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa.onset import onset_strength
from numpy.typing import NDArray

from dsp import spectral, temporal
from dsp.features import FEATURE_NAMES, FEATURES, extract, named
from dsp.framing import HOP, SAMPLE_RATE, WINDOW, Float, fit_duration, spectrum
from dsp.spectral import phase_coherence

VOICES = sorted((Path(__file__).parents[2] / "data" / "voices").glob("*.flac"))
FRAMING = {"n_fft": WINDOW, "hop_length": HOP}


@pytest.fixture(params=VOICES, ids=lambda path: path.stem)
def voice(request: pytest.FixtureRequest) -> Float:
    samples, rate = soundfile.read(request.param, dtype="float32")
    assert rate == SAMPLE_RATE
    return np.asarray(samples, np.float32)


def tone(hertz: float, seconds: float = 1.0, amplitude: float = 0.5) -> Float:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype("f4")


def noise(seconds: float, seed: int = 0) -> Float:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def close(ours: NDArray[np.floating], theirs: NDArray[np.floating], tolerance: float = 1e-4) -> None:
    """Equal within a share of the largest value."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def test_the_names_are_those_of_the_specification() -> None:
    assert len(FEATURE_NAMES) == 47
    assert len(set(FEATURE_NAMES)) == 47
    assert FEATURE_NAMES[:2] == ("mfcc_1_mean", "mfcc_2_mean")
    assert FEATURE_NAMES[12:14] == ("mfcc_13_mean", "mfcc_1_std")
    rest = (
        "spectral_centroid spectral_bandwidth spectral_rolloff spectral_flatness spectral_contrast_1 "
        "spectral_contrast_2 spectral_contrast_3 spectral_contrast_4 spectral_contrast_5 spectral_contrast_6 "
        "pitch_mean pitch_std jitter shimmer hnr zcr rms_energy rms_variance tempo phase_coherence spectral_flux"
    )
    assert FEATURE_NAMES[26:] == tuple(rest.split())
    units = {feature.name: feature.unit for feature in FEATURES}
    assert units["spectral_centroid"] == "Hz"
    assert units["jitter"] == "ratio"
    assert units["hnr"] == "dB"


def test_the_spectrum_is_librosas(voice: Float) -> None:
    close(np.abs(spectrum(voice)), np.abs(librosa.stft(voice, **FRAMING)).T)


def test_the_shape_of_the_spectrum_is_librosas(voice: Float) -> None:
    magnitude = np.abs(spectrum(voice))
    share = spectral.distribution(magnitude)
    centroid, bandwidth = spectral.centroid_and_bandwidth(share)
    close(centroid, librosa.feature.spectral_centroid(y=voice, sr=SAMPLE_RATE, **FRAMING)[0])
    close(bandwidth, librosa.feature.spectral_bandwidth(y=voice, sr=SAMPLE_RATE, **FRAMING)[0])
    close(spectral.flatness(magnitude**2), librosa.feature.spectral_flatness(y=voice, **FRAMING)[0])
    # rounding may move the edge by one bin
    rolloff = librosa.feature.spectral_rolloff(y=voice, sr=SAMPLE_RATE, roll_percent=0.85, **FRAMING)[0]
    np.testing.assert_allclose(spectral.rolloff(share), rolloff, atol=SAMPLE_RATE / WINDOW + 0.01)
    assert spectral.rolloff(share).mean() == pytest.approx(rolloff.mean(), rel=1e-3)


def test_contrast_is_librosas(voice: Float) -> None:
    theirs = librosa.feature.spectral_contrast(y=voice, sr=SAMPLE_RATE, fmin=200.0, n_bands=5, **FRAMING).T
    close(spectral.contrast(np.abs(spectrum(voice))), theirs, 1e-3)


def test_cepstral_coefficients_are_librosas(voice: Float) -> None:
    bands = spectral.log_mel(np.abs(spectrum(voice)) ** 2)
    close(spectral.mfcc(bands), librosa.feature.mfcc(y=voice, sr=SAMPLE_RATE, n_mfcc=13, **FRAMING).T)


def test_level_and_zero_crossings_are_librosas(voice: Float) -> None:
    close(temporal.rms(voice), librosa.feature.rms(y=voice, frame_length=WINDOW, hop_length=HOP)[0])
    theirs = librosa.feature.zero_crossing_rate(voice, frame_length=WINDOW, hop_length=HOP)[0]
    np.testing.assert_allclose(temporal.zero_crossing_rate(voice), theirs, atol=1e-12)


def test_tempo_is_librosas(voice: Float) -> None:
    bands = spectral.log_mel(np.abs(spectrum(voice)) ** 2)
    envelope = onset_strength(y=voice, sr=SAMPLE_RATE, **FRAMING)
    close(temporal.onset_envelope(bands), envelope)
    theirs = librosa.feature.tempo(onset_envelope=envelope, sr=SAMPLE_RATE, hop_length=HOP)[0]
    assert temporal.tempo(temporal.onset_envelope(bands)) == pytest.approx(theirs)


@pytest.mark.parametrize("beats_per_minute", [90, 120, 150])
def test_tempo_of_a_metronome(beats_per_minute: int) -> None:
    clicks = np.zeros(10 * SAMPLE_RATE, np.float32)
    for beat in np.arange(0.1, 9.9, 60 / beats_per_minute):
        clicks[round(beat * SAMPLE_RATE) :][:400] += tone(1000, 0.025)
    assert named(extract(clicks))["tempo"] == pytest.approx(beats_per_minute, rel=0.03)


def test_all_features_together_are_the_means_of_librosas_frames(voice: Float) -> None:
    ours = named(extract(voice))
    coefficients = librosa.feature.mfcc(y=voice, sr=SAMPLE_RATE, n_mfcc=13, **FRAMING)
    for i in range(13):
        assert ours[f"mfcc_{i + 1}_mean"] == pytest.approx(coefficients[i].mean(), rel=1e-3, abs=1e-2)
        assert ours[f"mfcc_{i + 1}_std"] == pytest.approx(coefficients[i].std(), rel=1e-3, abs=1e-2)
    rms = librosa.feature.rms(y=voice, frame_length=WINDOW, hop_length=HOP)[0]
    assert ours["rms_energy"] == pytest.approx(rms.mean(), rel=1e-4)
    assert ours["rms_variance"] == pytest.approx(rms.var(), rel=1e-4)


def test_phase_coherence_knows_steady_from_random() -> None:
    steady, random = phase_coherence(spectrum(tone(437.3, 3))), phase_coherence(spectrum(noise(3)))
    assert steady > 0.99
    assert 0.5 < random < 0.75  # neighbouring frames share samples
    assert phase_coherence(spectrum(np.zeros(SAMPLE_RATE, np.float32))) == 0


def test_flux_knows_steady_from_changing() -> None:
    steady = named(extract(tone(500, 3)))["spectral_flux"]
    hopping = np.concatenate([tone(hertz, 0.05) for hertz in np.random.default_rng(0).uniform(200, 3000, 60)])
    assert steady < 0.05 < named(extract(hopping))["spectral_flux"] < 1


def test_gain_moves_only_what_is_about_level(voice: Float) -> None:
    loud, quiet = named(extract(voice)), named(extract(voice * np.float32(0.5)))
    assert quiet["rms_energy"] == pytest.approx(loud["rms_energy"] / 2, rel=1e-4)
    assert quiet["rms_variance"] == pytest.approx(loud["rms_variance"] / 4, rel=1e-4)
    for name in ("pitch_mean", "jitter", "shimmer", "hnr", "zcr", "phase_coherence", "spectral_centroid", "tempo"):
        assert quiet[name] == pytest.approx(loud[name], rel=1e-3), name


def _click() -> Float:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[8000] = 1
    return click


EXTREMES = {
    "silence": np.zeros(SAMPLE_RATE, np.float32),
    "pure tone": tone(440),
    "highest tone": tone(7999),
    "click": _click(),
    "clipped": np.clip(tone(200, 1, 5.0), -1, 1),
    "square": np.sign(tone(100, 1)),
    "noise": noise(1),
    "constant": np.full(SAMPLE_RATE, 0.5, np.float32),
    "full-scale alternation": np.tile(np.array([1, -1], np.float32), SAMPLE_RATE // 2),
    "denormal": np.full(SAMPLE_RATE, 1e-40, np.float32),
    "faint": noise(1) * np.float32(1e-18),
    "half silence": np.concatenate([np.zeros(SAMPLE_RATE, np.float32), noise(1)]),
    "thirty seconds": noise(30),
    "one sample": np.ones(1, np.float32),
    "two samples": np.ones(2, np.float32),
    "shorter than a window": noise(0.05),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_everything_gives_finite_values_without_warnings(name: str) -> None:
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise", over="raise"):
        warnings.simplefilter("error")
        values = extract(EXTREMES[name])
    assert values.shape == (47,)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", ["silence", "noise"])
def test_no_pitch_is_reported_as_zero(name: str) -> None:
    values = named(extract(EXTREMES[name]))
    assert values["pitch_mean"] == values["pitch_std"] == values["jitter"] == values["shimmer"] == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40_000),
    st.floats(1e-12, 1.0),
    st.floats(20, 7900),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_any_mixture_gives_values_in_range(size: int, gain: float, hertz: float, share: float, seed: int) -> None:
    random = np.random.default_rng(seed).uniform(-1, 1, size)
    wave = np.sin(2 * np.pi * hertz * np.arange(size) / SAMPLE_RATE)
    values = named(extract((gain * (share * wave + (1 - share) * random)).astype(np.float32)))
    assert np.isfinite(list(values.values())).all()
    for name in ("spectral_flatness", "zcr", "phase_coherence", "spectral_flux", "rms_energy"):
        assert 0 <= values[name] <= 1 + 1e-6, name
    for name in ("spectral_centroid", "spectral_bandwidth", "spectral_rolloff"):
        assert 0 <= values[name] <= SAMPLE_RATE / 2 * (1 + 1e-6), name
    assert values["pitch_mean"] == 0 or 75 * 0.9 <= values["pitch_mean"] <= 600
    assert min(values["jitter"], values["shimmer"], values["pitch_std"], values["tempo"]) >= 0


def test_the_work_grows_with_the_length_and_no_faster(voice: Float) -> None:
    def spent(seconds: int) -> float:
        clip = np.tile(voice, 10)[: seconds * SAMPLE_RATE]
        found = []
        for _ in range(5):
            start = time.process_time()
            extract(clip)
            found.append(time.process_time() - start)
        return min(found)

    spent(5)  # imports and tables
    assert spent(30) < 10 * spent(5)  # about 6 times; what grows with the square would take 36 times


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, 1.0), (1.0, 1.0), (5.0, 5.0), (31.0, 30.0)])
def test_the_duration_rule(seconds: float, expected: float) -> None:
    fitted = fit_duration(noise(seconds), 1.0, 30.0)
    assert fitted.size == round(expected * SAMPLE_RATE)
    np.testing.assert_array_equal(fitted[: round(0.2 * SAMPLE_RATE)], noise(seconds)[: round(0.2 * SAMPLE_RATE)])


def test_a_click_is_flat_and_no_more_than_flat() -> None:
    click = np.array([0.034], dtype=np.float32)  # rounding lifted it to 1.000001 once
    assert named(extract(click))["spectral_flatness"] <= 1
