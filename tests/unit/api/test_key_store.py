"""Keys of callers: how they are kept and found, in a file and in Redis."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import redis

from api.guard import Guard
from cli.__main__ import main
from core.errors import Forbidden, Unavailable
from core.settings import Settings, get_settings
from storage.keys import REDIS_KEY, hash_key
from tests.support.caller_keys import command

pytestmark = pytest.mark.anyio


async def test_a_key_is_made_listed_and_revoked(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("add", "lab", "--questions", "heart-sound", "--requests-per-minute", "5", "--mb-per-day", "1") == 0
    secret = capsys.readouterr().out.strip()
    assert command("add", "lab") == 1
    assert "lab" in capsys.readouterr().err
    assert command("list") == 0
    (line,) = capsys.readouterr().out.splitlines()
    listed = json.loads(line)
    assert (listed["name"], listed["questions"], listed["requests_per_minute"]) == ("lab", ["heart-sound"], 5)
    assert listed["bytes_per_day"] == 1 << 20
    assert "sha256" not in listed

    guard = Guard(Settings())
    assert (await guard.admit("heart-sound", {"x-api-key": secret})).name == "lab"
    assert (await guard.admit("heart-sound", {"authorization": f"bearer {secret}"})).name == "lab"
    with pytest.raises(Forbidden, match="does not open voice-gender"):
        await guard.admit("voice-gender", {"x-api-key": secret})
    for wrong in ("", secret[:-1], hash_key(secret), "lab"):
        with pytest.raises(Forbidden, match="Invalid API key provided"):
            await guard.admit("heart-sound", {"x-api-key": wrong})
    await guard.aclose()

    assert command("revoke", "lab") == 0
    assert command("revoke", "lab") == 1
    later = Guard(Settings())
    with pytest.raises(Forbidden):
        await later.admit("heart-sound", {"x-api-key": secret})
    await later.aclose()


def test_the_store_holds_no_key(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("add", "lab") == 0
    secret = capsys.readouterr().out.strip()
    if store == "redis":
        with redis.Redis.from_url(str(Settings().redis_url)) as client:
            kept = str(client.hgetall(REDIS_KEY))
    else:
        kept = Path(store).read_text()
        assert stat.S_IMODE(Path(store).stat().st_mode) == 0o600
    assert hash_key(secret) in kept
    assert secret not in kept
    assert secret.removeprefix("mck_") not in kept


def test_a_command_without_a_store_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    get_settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        main(["keys", "list"])
    assert ended.value.code == 2
    assert "KEY_STORE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:hunter2@127.0.0.1:1/0", "127.0.0.1:1"),
        ("unix:///nowhere/redis.sock?password=hunter2", "/nowhere/redis.sock"),
    ],
)
async def test_a_redis_that_is_down_is_named_without_its_password(
    url: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    get_settings.cache_clear()
    assert command("--store", "redis", "list") == 1
    get_settings.cache_clear()
    said = f"redis at {place}: ConnectionError"
    assert capsys.readouterr().err == f"the store of keys cannot be used: {said}\n"
    with pytest.raises(Unavailable):
        await Guard(Settings(key_store="redis")).admit("heart-sound", {"x-api-key": "x"})
    assert vars(caplog.records[-1])["why"] == said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no JSON", "Invalid JSON: expected ident at line 1 column 2"),
        ('[{"sha256": "secret"}]', "0: name: Field required"),
    ],
)
async def test_a_damaged_file_is_named_in_one_line(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    said = f"{file} does not hold keys: {problem}"
    for arguments in (["list"], ["add", "lab"], ["revoke", "lab"]):
        assert command("--store", str(file), *arguments) == 1
        assert capsys.readouterr().err == f"the store of keys cannot be used: {said}\n"
    with pytest.raises(Unavailable):
        await Guard(Settings(key_store=str(file))).admit("heart-sound", {"x-api-key": "x"})
    assert vars(caplog.records[-1])["why"] == said


def test_a_file_of_keys_that_is_not_there_is_named_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every caller is refused, as each whose key is wrong."""
    path = tmp_path / "keys.json"
    Guard(Settings(key_store=str(path)))
    assert [(one.levelname, str(path) in one.getMessage()) for one in caplog.records] == [("WARNING", True)]
    path.write_text("[]")
    Guard(Settings(key_store=str(path)))
    assert len(caplog.records) == 1
