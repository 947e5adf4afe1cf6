"""Configuration: everything that the environment (or ``.env``) can set, in one typed place.

The README's table is checked against this class by a test.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    UrlConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.resources import memory_bytes

MEBIBYTE = 1 << 20
# What the largest request has in hand, in bodies: a JSON body, the base64 in it, the file, and the sound (77 MB).
LARGEST_IN_HAND = 5
# Of the memory of the container. An API process has 250 MB of its own, and what is being made is not counted yet.
BUDGET_PART = 0.4
LONGEST_TTL_S = 100 * 365 * 86400  # a store ignores what would hold for longer, and Redis refuses it
IN_REDIS: Final = "redis"  # what ``KEY_STORE`` says for keys that are kept in the Redis of ``REDIS_URL``
MOST_BATCH_ITEMS = 256  # that ``MAX_BATCH_ITEMS`` may allow
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")


def _split(value: object) -> object:
    """Splits ``a, b`` into a tuple; other values pass."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _split_groups(value: object) -> object:
    """Splits ``a,b;c,d`` into a tuple of tuples; other values pass."""
    return tuple(_split(part) for part in value.split(";") if part.strip()) if isinstance(value, str) else value


def _weights(value: object, check: ValidatorFunctionWrapHandler) -> tuple[float, float, float]:
    """Three numbers that make a mean, of ``a, b, c``; one sentence for whatever is wrong with them."""
    try:
        weights: tuple[float, float, float] = check(_split(value))
    except ValidationError:
        weights = (-1, -1, -1)
    if min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise ValueError("it must be three numbers of at least 0 that sum to 1")
    return weights


def _from_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("it is not JSON") from None


def _check_ip(value: str) -> str:
    if value == "localhost":  # a server listens on addresses, not on names; this one means the same everywhere
        return "127.0.0.1"
    ipaddress.ip_address(value)
    return value


def _check_origin(value: str) -> str:
    if value != "*" and not ORIGIN.fullmatch(value):
        raise ValueError(f"'{value}' is neither * nor an origin such as https://example.org")
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], NoDecode, BeforeValidator(_split)]
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Groups = Annotated[tuple[tuple[str, ...], ...], NoDecode, BeforeValidator(_split_groups)]
RedisUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])]
Weights = Annotated[tuple[float, float, float], NoDecode, WrapValidator(_weights)]
ENV_FILE = ".env"  # of the folder in which the server is started


class BatchBounds(NamedTuple):
    """Bounds of a batch of several items.

    Attributes:
        items: Most items.
        cost: Largest padded cost: its longest item (seconds of audio, or 1) times its items.
    """

    items: int = 16
    cost: float = 32.0


class RunnerOptions(BaseModel):
    """How one model's runner is scaled and fed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(1, ge=1, le=256, description="Processes.")
    threads: int = Field(0, ge=0, le=1024, description="Threads of a batch beside others; 0 is half of the cores.")
    streams: int = Field(
        0,
        ge=0,
        le=64,
        description="Batches computed at once; 0 is as many as have cores. A lone one has the threads of all.",
    )
    batch_items: int | None = Field(
        None, ge=1, le=1024, description="Most items in one call; 16, and on a GPU what is measured at the start."
    )
    batch_cost: float | None = Field(
        None,
        gt=0,
        description="Largest padded cost of a call of several items: seconds of audio, or pictures; 32, and on a GPU "
        "what is measured.",
    )
    batch_padding: float | None = Field(
        None, ge=0, lt=1, description="Largest part of what is computed at once that may be padding; the engine's own."
    )

    def bounds(self, measured: BatchBounds | None = None) -> BatchBounds:
        """The bounds of a batch; what is not said here is as it was measured, or else as on a processor."""
        found = measured or BatchBounds()
        return BatchBounds(self.batch_items or found.items, self.batch_cost or found.cost)


class Voting(NamedTuple):
    """How the AI-voice decision is made of the members' scores.

    Attributes:
        weights: Of the speech encoder, the spectrogram CNN and the feature MLP; they sum to 1.
        threshold: Score above which a voice is ``AI_GENERATED``.
        uncertain: Scores between these two are wrong more than one time in four; empty where that is not known.
    """

    weights: tuple[float, float, float]
    threshold: float
    uncertain: tuple[float, float]


VOTING = {
    # Chosen by what each network says of pages and synthesisers that it has not met (models/deepfake_encoder/CARD.md).
    "compact": Voting((0.60, 0.35, 0.05), 0.50, (0.25, 0.60)),
    "published": Voting((0.50, 0.25, 0.25), 0.55, (0.55, 0.55)),  # of the reference service; nothing is measured of it
}


class Settings(BaseSettings):
    """The bundle's settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True)

    host: Annotated[str, AfterValidator(_check_ip)] = Field("127.0.0.1", description="Address that is listened on.")
    port: int = Field(3000, ge=1, le=65535, description="Port that is listened on.")
    api_workers: int = Field(1, ge=1, le=64, description="Processes that answer HTTP.")
    api_key: SecretStr | None = Field(None, description="Key for `/api/voice-detection`.")
    api_keys: Keys = Field((), description="Several such keys, separated by commas.")
    key_store: str = Field(
        "",
        description="Where the keys of callers are kept, which `python -m cli keys` makes: the path of a file, or "
        "`redis`. Every question then needs one; without a store only voice detection needs its key.",
    )
    cors_origins: Origins = Field(("*",), description="Origins whose pages may call, separated by commas.")
    redis_url: RedisUrl | None = Field(
        None, description="Redis for the cache and the latest heart result: `redis://`, `rediss://` or `unix://`."
    )
    allowed_private_hosts: Names = Field(
        (), description="Names, addresses or networks that `/analyze-audio` may reach though they are not public."
    )
    max_body_mb: float = Field(32, gt=0, le=1024, description="Largest request body, and largest download (MiB).")
    max_batch_items: int = Field(
        16, ge=1, le=MOST_BATCH_ITEMS, description="Most items in one request of `/v1/classify`."
    )
    max_audio_seconds: float = Field(600, gt=0, le=24 * 3600, description="Longest recording (seconds).")
    max_image_megapixels: float = Field(
        50,
        gt=0,
        le=1000,
        description="Largest picture (millions of pixels); of WebP a third, of progressive JPEG in full colour 0.75.",
    )
    memory_budget_mb: float = Field(
        0,
        ge=0,
        le=1 << 20,
        description="Uploads, downloads, decoded sound and pixels in hand above which requests are refused with 503, "
        "of all API processes (MiB); 0 is two fifths of the memory of the container or machine.",
    )
    request_timeout_s: float = Field(60, gt=0, le=3600, description="Time limit of a request (seconds).")
    head_timeout_s: float = Field(
        15,
        gt=0,
        le=3600,
        description="Time limit of the head of a request; a connection without one is closed (seconds).",
    )
    keep_alive_s: float = Field(
        75, gt=0, le=3600, description="How long a connection is kept for a further request (seconds)."
    )
    fetch_timeout_s: float = Field(20, gt=0, le=3600, description="Time limit of a download (seconds).")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects that a download follows.")
    cache_ttl_s: int = Field(
        3600, ge=0, le=LONGEST_TTL_S, description="How long an analysed URL is remembered (seconds); 0 is off."
    )
    queue_latency_s: float = Field(
        10, gt=0, le=3600, description="Waiting time for a model above which requests are refused with 429 (seconds)."
    )
    ensemble_weights: Weights | None = Field(
        None,
        description="Weights of the speech encoder's, the CNN's and the MLP's score in the AI-voice decision; "
        "the profile's own where it is not set.",
    )
    ensemble_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Score above which a voice is `AI_GENERATED`; the profile's own where it is not set.",
    )
    playground: bool = Field(True, description="Whether `/ui` is served, the page to try.")
    profile: Literal["compact", "published"] = Field("compact", description="Which models are served.")
    runners: Annotated[dict[str, RunnerOptions], NoDecode, BeforeValidator(_from_json)] = Field(
        {}, description='Options by model, in JSON: `{"voice_gender": {"workers": 2, "threads": 1}}`.'
    )
    runners_together: Groups = Field(
        (),
        description="Models that share one process each, such as `heart_sound,face_gender;audio_scene,deepfake_cnn`, "
        "or `all`; the others have one of their own.",
    )
    engine: Literal["auto", "compiled", "native"] = Field(
        "auto",
        description="What runs the networks: `compiled` (OpenVINO), or `native` (torch and Keras); `auto` takes "
        "`native` on a GPU where torch with CUDA is installed.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where they run; `cuda` needs `native`.")
    precision: Literal["auto", "f32", "bf16", "f16"] = Field(
        "auto",
        description="Arithmetic: `auto` takes bfloat16 for networks that gain by it where it is native and was "
        "measured to agree when the model was saved; `f16` needs `DEVICE=cuda`.",
    )
    log_dir: Path = Field(Path("logs"), description="Folder of the rotating log file.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe log level.")
    data_dir: Path = Field(Path("data"), description="Folder of the latest heart result and the embedded cache.")

    @model_validator(mode="after")
    def _budget_has_room_for_the_largest(self) -> Self:
        least = LARGEST_IN_HAND * self.max_body_mb * self.api_workers
        if 0 < self.memory_budget_mb < least:
            raise ValueError(
                f"MEMORY_BUDGET_MB must be 0 or at least {least:g}: {LARGEST_IN_HAND} x MAX_BODY_MB x API_WORKERS"
            )
        return self

    @model_validator(mode="after")
    def _quotas_are_counted_once(self) -> Self:
        if self.key_store and self.redis_url is None and (self.api_workers > 1 or self.key_store == IN_REDIS):
            raise ValueError("KEY_STORE needs REDIS_URL where it is redis or API_WORKERS is above 1: quotas are shared")
        return self

    @property
    def budget_bytes(self) -> int:
        """What requests may have in hand in one API process (bytes)."""
        wanted = self.memory_budget_mb * MEBIBYTE or BUDGET_PART * memory_bytes()
        return int(max(wanted / self.api_workers, LARGEST_IN_HAND * self.max_body_bytes))

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that open the keyed route."""
        single = (self.api_key,) if self.api_key is not None else ()
        # A secret that is made of a file may end in a line break, and what callers present is stripped.
        return tuple(k for key in (*single, *self.api_keys) if (k := key.get_secret_value().strip()))

    @property
    def voting(self) -> Voting:
        """How the AI-voice decision is made."""
        own = VOTING[self.profile]
        if self.ensemble_weights is None and self.ensemble_threshold in (None, own.threshold):
            return own
        threshold = self.ensemble_threshold or own.threshold
        return Voting(self.ensemble_weights or own.weights, threshold, (threshold, threshold))

    def runner(self, model: str) -> RunnerOptions:
        """The options of a model's runner."""
        return self.runners.get(model, RunnerOptions())

    @property
    def max_body_bytes(self) -> int:
        """Largest request body (bytes)."""
        return int(self.max_body_mb * MEBIBYTE)


def describe(error: ValidationError) -> str:
    """One line that names each wrong setting and what is wrong with it; secrets are not repeated."""
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        name, *inner = (str(part) for part in item["loc"] or ("",))
        name = ".".join((name.upper(), *inner))
        words = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":  # only the options of a runner forbid others
            words = f"there is no such option, there are {', '.join(RunnerOptions.model_fields)}"
        problems.append(f"{name}: {words}" if name else words)
    return "; ".join(problems)


@functools.cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SystemExit: A value cannot be right; the message is one line.
    """
    try:
        return Settings()
    except ValidationError as error:
        sys.exit(f"configuration error: {describe(error)}")


def table() -> str:
    """The README's table of settings, one line for each: variable, default, meaning."""
    return "".join(_lines(Settings, str.upper))


def runner_table() -> str:
    """The README's table of what ``RUNNERS`` says of a model, alike."""
    return "".join(_lines(RunnerOptions, str))


def _lines(model: type[BaseModel], spelled: Callable[[str], str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = field.default
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else default
        text = "" if shown in (None, "", {}) else f"`{shown}`"
        yield f"| `{spelled(name)}` | {text} | {field.description} |\n"


if __name__ == "__main__":
    print(table(), runner_table(), sep="\n", end="")
