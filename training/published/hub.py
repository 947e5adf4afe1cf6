"""Downloads a checkpoint from a model hub: pinned to a commit, resumable, every file checked by its digest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import httpx
from huggingface_hub import HfApi, constants, hf_hub_url, metadata_load
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of its own HTTP library
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # it is documented as public

from models.published.checkpoint import CheckpointError
from training.data.download import Downloader, MissingFileError
from training.published.importing import CONFIG, EXTRACTOR, PICKLED, Source

LIBRARY = "media-classification"  # our folder among the hub library's assets
CARD = "README.md"
# The store gets a copy, by way of a temporary folder, and a compiled form of half the size.
SPACE_FACTOR = 3.0


def open_source(origin: str, revision: str | None, suffixes: Sequence[str]) -> Source:
    """Finds a checkpoint: a folder or file on this machine, or else at the hub.

    Args:
        origin: A path, or a hub id such as ``owner/name``.
        revision: Branch, tag or commit at the hub.
        suffixes: Of the files that hold weights.

    Raises:
        CheckpointError: It is neither, or cannot be downloaded.
    """
    path = Path(origin)
    if path.is_dir():
        return Source(path, path.resolve().name, licence=card_licence(path / CARD))
    if path.is_file():
        return Source(path.parent, path.name, licence=card_licence(path.parent / CARD))
    return download(origin, revision, suffixes)


def card_licence(card: Path) -> str:
    """The licence that a model card names in its front matter, ``unknown`` if there is none."""
    try:
        data = metadata_load(card) if card.is_file() else None
    except (OSError, ValueError):
        data = None
    return str((data or {}).get("license", "unknown"))


def download(repo: str, revision: str | None, suffixes: Sequence[str]) -> Source:
    """Downloads what an import needs of a repository, into a folder of its commit among the hub library's assets.

    A download that broke off goes on where it stopped when the command is run again: what came of a file is kept beside
    its place, as ``NAME.part``. The hub library's own downloader keeps nothing between runs.

    Args:
        repo: Hub id.
        revision: Branch, tag or commit; the repository's default branch if none is given.
        suffixes: Of the files that hold weights.

    Raises:
        CheckpointError: There is no such repository or revision, it has no weights of these kinds, there is not enough
            space, the connection broke for good, or a file is not what the hub says it is.
    """
    try:
        hub = HfApi()
        info = hub.model_info(repo, revision=revision, files_metadata=True)
        files = _wanted(info, suffixes)
        _check_space(files)
        paths = _fetch(hub, info, files)
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no revision {revision}") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"there is no folder, file or hub repository {repo} (or it is not open to you)"
        ) from error
    except MissingFileError as error:
        raise CheckpointError(f"the hub lists a file that it does not have: {error}") from error
    except (HTTPError, httpx.HTTPError) as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"the download broke off ({message}); the same command goes on with it") from error
    for file, path in zip(files, paths, strict=True):
        _check(file, path)
    card = info.card_data
    licence = card.get("license") if card is not None else None
    return Source(paths[0].parent, repo, str(info.sha), str(licence or "unknown"))


def _fetch(hub: HfApi, info: ModelInfo, files: Sequence[RepoSibling]) -> list[Path]:
    """Downloads files of one commit, or what is missing of them, each with a progress bar."""
    folder = _cache() / info.id.replace("/", "--") / str(info.sha)
    paths = [folder / file.rfilename for file in files]
    with Downloader(headers=build_hf_headers(), progress=True) as downloader:
        for path in paths:
            downloader.fetch(hf_hub_url(info.id, path.name, revision=info.sha, endpoint=hub.endpoint), path)
    return paths


def _cache() -> Path:
    return Path(constants.HF_ASSETS_CACHE) / LIBRARY


def _wanted(info: ModelInfo, suffixes: Sequence[str]) -> list[RepoSibling]:
    """The files of an import: the configurations, and the weights at the top of the repository."""
    files = {file.rfilename: file for file in info.siblings or [] if "/" not in file.rfilename}
    weights = [name for name in files if PurePosixPath(name).suffix in suffixes]
    if not weights:
        if any(PurePosixPath(name).suffix in PICKLED for name in files):
            raise CheckpointError("its weights are pickled, and unpickling runs code: only safetensors are imported")
        raise CheckpointError(f"it has no weights in {' or '.join(suffixes)}")
    indices = [name for name in files if name.endswith(".safetensors.index.json")]
    names = [name for name in (CONFIG, EXTRACTOR) if name in files] + indices + weights
    return [files[name] for name in names]


def _check_space(files: Sequence[RepoSibling]) -> None:
    """Refuses before anything is downloaded rather than when the disk is full."""
    size = sum(file.size or 0 for file in files)
    cache = _cache()
    nearest = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if size * (1 + SPACE_FACTOR) > free:
        needed = size * (1 + SPACE_FACTOR) / 2**30
        raise CheckpointError(f"it needs {needed:.1f} GiB of disk, {free / 2**30:.1f} GiB are free in {nearest}")


def _check(file: RepoSibling, path: Path) -> None:
    """Compares a downloaded file with the digest that the hub gives for it, and removes it if it differs."""
    if file.lfs is not None:
        expected, digest = file.lfs.sha256, hashlib.sha256()
    else:  # small files are known by git's own digest
        expected, digest = (
            str(file.blob_id),
            hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False),
        )
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, lambda: digest).hexdigest()
    if found != expected:
        path.unlink()
        raise CheckpointError(f"{file.rfilename} is not the file that the hub describes; it was removed")
