"""``mediaclassify voice-gender clip.wav folder/ 'more/*.mp3' https://example.org/clip.mp3 -``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import serve
from cli.files import expand
from cli.reports import FORMATS, PCM, suffixes
from core.version import VERSION
from tasks.questions import questions

PROGRAM = "mediaclassify"
RAW_PCM = {"pcm": False, "sample_rate": 16_000, "num_channels": 1, "sample_width": 2, "amplification_factor": 10.0}
EPILOGUE = """exit status: 0 when every file has an answer, 1 when one has none (its line says why), 2 when the command
itself is wrong. Limits and the ensemble's weights come from the environment, as they do for the service."""


def parser() -> argparse.ArgumentParser:
    """The command line: a sub-command for each question, and those that do something else.

    A sub-command sets ``run``, which takes the options and its own parser and gives the exit status.
    """
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Answers one of five questions about files, with the bundled models and without a server.",
        epilog=EPILOGUE,
    )
    made.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, question in questions().items():
        asked = commands.add_parser(name, help=question.text, description=question.text, epilog=EPILOGUE)
        asked.set_defaults(run=ask, question=name, parser=asked, **RAW_PCM)
        _add_options(asked)
        if suffixes(question) & PCM:
            _add_pcm_options(asked)
    served = commands.add_parser("serve", help="serve all of them over HTTP", description=serve.__doc__)
    served.set_defaults(run=lambda _: serve.main())
    commands.add_parser("keys", help="manage the keys of a server's callers")
    return made


def _add_options(asked: argparse.ArgumentParser) -> None:
    asked.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="files, folders with all below them, quoted patterns, http(s) addresses, or - for standard input",
    )
    shown = asked.add_mutually_exclusive_group()
    shown.add_argument(
        "-f", "--format", choices=FORMATS, default="json", help="json: a line of JSON for each (%(default)s)"
    )
    shown.add_argument("-t", "--table", dest="format", action="store_const", const="table", help="as --format table")


def _add_pcm_options(asked: argparse.ArgumentParser) -> None:
    raw = asked.add_argument_group("raw PCM")
    raw.add_argument("-p", "--pcm", action="store_true", help="all is raw PCM, not only what ends in .pcm or .raw")
    raw.add_argument("-r", "--sample-rate", type=int, metavar="HZ", help="(%(default)s)")
    raw.add_argument("-c", "--num-channels", type=int, metavar="N", help="(%(default)s)")
    raw.add_argument("-w", "--sample-width", type=int, metavar="BYTES", help="of a sample (%(default)s)")
    raw.add_argument(
        "-a", "--amplification-factor", type=float, metavar="GAIN", help="limited by the headroom (%(default)s)"
    )


def ask(options: argparse.Namespace) -> int:
    """Asks one question about all files.

    Returns:
        The exit status.
    """
    from cli.ask import answer_all  # loads the models, which a wrong command does not need

    sources = list(expand(options.paths, suffixes(questions()[options.question])))
    if not sources:
        options.parser.error("there is no such file in these folders")
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names of files that are not UTF-8
    output = FORMATS[options.format]()
    console = Console(stderr=True)
    # Lines of JSON on the same screen are progress enough, and would be written over a bar.
    quiet = not console.is_terminal or (sys.stdout.isatty() and options.format != "table")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet, redirect_stdout=False) as progress:
        answered = asyncio.run(answer_all(options, sources, output, progress))
    output.close()
    return 0 if answered else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["keys"]:  # it has sub-commands of its own
        from cli import keys

        return keys.main(given[1:])
    options = parser().parse_args(given)
    status: int = options.run(options)
    return status


def command() -> NoReturn:
    """The installed command."""
    logging.disable(logging.CRITICAL)  # the output has a line for each file, with its error
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130  # as shells report an interrupted program
    except BrokenPipeError:  # what read the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


if __name__ == "__main__":
    command()
