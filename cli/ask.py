"""Asks a question about every source: read, decoded and answered together, reported in their order."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from rich.progress import Progress

from cli.files import Source, StandardInput, Url
from cli.local import local_context
from cli.output import Output
from cli.questions import PCM, File, Report, ask
from core.errors import PayloadTooLarge, ServiceError
from core.settings import get_settings
from media.pcm import PcmFormat
from tasks.questions import Question, questions
from tasks.run import Context

AT_ONCE = 16  # files that are read and decoded ahead of the models


async def answer_all(
    options: argparse.Namespace, sources: Sequence[Source], output: Output, progress: Progress
) -> bool:
    """Asks about all sources; one that fails stops none of the others.

    Returns:
        Whether each has an answer.
    """
    question = questions()[options.question]
    context = local_context(get_settings(), question.models)
    gate = asyncio.Semaphore(AT_ONCE)
    task = progress.add_task(options.question, total=len(sources))

    async def one(source: Source) -> Report:
        async with gate:
            found = await report(context, question, source, options)
            progress.advance(task)
            return found

    answered = True
    try:
        for asked in [asyncio.ensure_future(one(source)) for source in sources]:
            found = await asked
            answered &= "error" not in found
            output.add(found)
    finally:
        await context.close()
    return answered


async def report(context: Context, question: Question, source: Source, options: argparse.Namespace) -> Report:
    """What is said of one source: the answer, or what is wrong with it."""
    try:
        layout = PcmFormat(options.sample_rate, options.num_channels, options.sample_width)
        data = await read(context, source)
        raw = options.pcm or source.suffix in PCM
        found = await ask(context, question, File(data, raw, layout, options.amplification_factor))
    except ServiceError as error:
        return {"file": source.name, "error": error.message}
    except OSError as error:
        return {"file": source.name, "error": (error.strerror or "it cannot be read").lower()}
    except Exception as error:  # a model that fails on this file; the others are still asked about
        return {"file": source.name, "error": f"the model failed: {error}"}
    return {"file": source.name, **found}


async def read(context: Context, source: Source) -> bytes:
    """The content of a source.

    Raises:
        PayloadTooLarge: It has more bytes than a request may have.
        ServiceError: As ``Fetcher.fetch``.
        OSError: It cannot be read.
    """
    most = context.settings.max_body_bytes
    if isinstance(source, Url):
        return (await context.fetcher.fetch(source.name)).data
    data = await asyncio.to_thread(source.read, most + 1)
    if len(data) > most:
        what = "standard input" if isinstance(source, StandardInput) else "the file"
        raise PayloadTooLarge(f"{what} is larger than {most} bytes")
    return data
