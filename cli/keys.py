"""``mediaclassify keys add|list|revoke``: the keys of callers, in the store that ``KEY_STORE`` names."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from core.settings import MEBIBYTE, get_settings
from storage.keys import REFRESH_S, CallerKey, KeyStore, make_key, open_keys
from storage.redis_client import RedisClient, StoreUnavailable
from tasks.questions import questions

EPILOG = f"""A key is shown once, when it is made; the store holds its hash. A running server knows of a new or revoked
key within {REFRESH_S:g} seconds."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="mediaclassify keys", description="Keys and quotas of callers.", epilog=EPILOG)
    made.add_argument("--store", default=None, help="path of a file, or redis (the setting KEY_STORE)")
    commands = made.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="makes a key and shows it")
    add.add_argument("name", help="of the caller")
    add.add_argument("--questions", nargs="+", choices=questions(), default=[], help="what may be asked (everything)")
    add.add_argument("--requests-per-minute", type=int, default=None, metavar="N", help="(any number)")
    add.add_argument(
        "--mb-per-day", type=float, default=None, metavar="MIB", help="of request bodies, MiB (any number)"
    )
    commands.add_parser("list", help="shows all keys but for the keys themselves, a line of JSON each")
    commands.add_parser("revoke", help="forgets a key").add_argument("name", help="of the caller")
    return made


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Returns:
        The exit status: 0, 1 where the store says no or cannot be reached, 2 where the command is wrong.
    """
    made = parser()
    options = made.parse_args(arguments)
    settings = get_settings()
    place = options.store or settings.key_store
    if not place:
        made.error("no store of keys: set KEY_STORE, or give --store")
    try:
        return asyncio.run(_run(options, place, str(settings.redis_url or "")))
    except (StoreUnavailable, OSError, ValueError) as error:
        print(f"the store of keys cannot be used: {error or type(error).__name__}", file=sys.stderr)
        return 1


async def _run(options: argparse.Namespace, place: str, redis_url: str) -> int:
    redis = RedisClient(redis_url) if redis_url else None
    try:
        store = open_keys(place, redis)
        if options.command == "list":
            for key in sorted(await store.load(), key=lambda key: key.name):
                print(json.dumps(key.model_dump(mode="json", exclude={"sha256"})))
            return 0
        return await (_add(store, options) if options.command == "add" else _revoke(store, options.name))
    finally:
        if redis is not None:
            await redis.aclose()


async def _add(store: KeyStore, options: argparse.Namespace) -> int:
    secret, hashed = make_key()
    try:
        key = CallerKey(
            name=options.name,
            sha256=hashed,
            questions=tuple(options.questions),
            requests_per_minute=options.requests_per_minute,
            bytes_per_day=None if options.mb_per_day is None else round(options.mb_per_day * MEBIBYTE),
            created=datetime.now(UTC).date().isoformat(),
        )
    except ValidationError as error:
        first = error.errors()[0]
        print(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", file=sys.stderr)
        return 2
    if not await store.add(key):
        print(f"there is a key of the name {options.name}: revoke it first", file=sys.stderr)
        return 1
    print(secret)
    return 0


async def _revoke(store: KeyStore, name: str) -> int:
    if await store.remove(name):
        return 0
    print(f"there is no key of the name {name}", file=sys.stderr)
    return 1
