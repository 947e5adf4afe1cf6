"""``python -m cli voice-gender clip.wav folder/ 'more/*.mp3'``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.files import expand
from cli.local import local_context
from cli.output import Grid, JsonLines, Output
from cli.questions import File, Report, ask, suffixes
from core.errors import PayloadTooLarge, ServiceError
from core.settings import get_settings
from media.pcm import PcmFormat
from tasks.questions import Question, questions
from tasks.run import Context

AT_ONCE = 16  # files that are read and decoded ahead of the models
EPILOGUE = """exit status: 0 when every file has an answer, 1 when one has none (its line says why), 2 when the command
itself is wrong. Limits and the ensemble's weights come from the environment, as they do for the service. `python -m cli
keys` manages the keys of a server's callers."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m cli",
        description="Answers one of five questions about files, with the bundled models and without a server.",
        epilog=EPILOGUE,
    )
    made.add_argument("question", choices=questions(), help="; ".join(f"{k}: {v.text}" for k, v in questions().items()))
    made.add_argument("paths", nargs="+", metavar="PATH", help="files, folders with all below them, or quoted patterns")
    made.add_argument(
        "--table", action="store_true", help="a table at the end, instead of a line of JSON for each file"
    )
    raw = made.add_argument_group("raw PCM", "how heart-sound reads files that end in .pcm or .raw")
    raw.add_argument("--sample-rate", type=int, default=16_000, help="Hz (%(default)s)")
    raw.add_argument("--num-channels", type=int, default=1, help="(%(default)s)")
    raw.add_argument("--sample-width", type=int, default=2, help="bytes of a sample (%(default)s)")
    raw.add_argument("--amplification-factor", type=float, default=10.0, help="limited by the headroom (%(default)s)")
    return made


async def report(context: Context, question: Question, path: Path, options: argparse.Namespace) -> Report:
    """What is said of one file: the answer, or what is wrong with it."""
    try:
        layout = PcmFormat(options.sample_rate, options.num_channels, options.sample_width)
        data = await asyncio.to_thread(read, path, get_settings().max_body_bytes)
        found = await ask(context, question, File(path, data, layout, options.amplification_factor))
    except ServiceError as error:
        return {"file": str(path), "error": error.message}
    except OSError as error:
        return {"file": str(path), "error": (error.strerror or "it cannot be read").lower()}
    except Exception as error:  # a model that fails on this file; the others are still asked about
        return {"file": str(path), "error": f"the model failed: {error}"}
    return {"file": str(path), **found}


def read(path: Path, most: int) -> bytes:
    """The content of a file.

    Raises:
        PayloadTooLarge: It has more than ``most`` bytes.
        OSError: It cannot be read.
    """
    if path.stat().st_size > most:
        raise PayloadTooLarge(f"the file is larger than {most} bytes")
    return path.read_bytes()


async def run(options: argparse.Namespace, files: Sequence[Path], output: Output, progress: Progress) -> bool:
    """Asks about all files; a file that fails stops none of the others.

    Returns:
        Whether every file has an answer.
    """
    question = questions()[options.question]
    context = local_context(get_settings(), question.models)
    gate = asyncio.Semaphore(AT_ONCE)
    task = progress.add_task(options.question, total=len(files))

    async def one(path: Path) -> Report:
        async with gate:
            found = await report(context, question, path, options)
            progress.advance(task)
            return found

    answered = True
    try:
        for asked in [asyncio.ensure_future(one(path)) for path in files]:
            found = await asked
            answered &= "error" not in found
            output.add(found)
    finally:
        await context.close()
    return answered


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["keys"]:
        from cli import keys

        return keys.main(given[1:])
    made = parser()
    options = made.parse_args(given)
    files = list(expand(options.paths, suffixes(questions()[options.question])))
    if not files:
        made.error("there is no such file in these folders")
    output: Output = Grid() if options.table else JsonLines()
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names of files that are not UTF-8
    console = Console(stderr=True)
    # Lines of JSON on the same screen are progress enough, and would be written over a bar.
    quiet = not console.is_terminal or (sys.stdout.isatty() and not options.table)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet, redirect_stdout=False) as progress:
        answered = asyncio.run(run(options, files, output, progress))
    output.close()
    return 0 if answered else 1


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # what there is to say of a file stands in its own line
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130  # as shells report an interrupted program
    except BrokenPipeError:  # what read the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
