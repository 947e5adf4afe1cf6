"""Configuration: every variable, what it may be, and how a wrong one stops the start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import AnyUrl

from core.settings import VOTING, Settings, get_settings, table
from runners.configuration import check, try_data_dir
from tests.support.served import BENTOML, ROOT, SETTINGS, environment


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ``.env`` in the working folder, and nothing remembered."""
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()


def complaint(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """What the start says of a value that cannot be right."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        check(get_settings())
    get_settings.cache_clear()
    return str(caught.value)


def test_defaults_are_those_of_the_contract() -> None:
    """The contract fixes these names and values."""
    settings = Settings()
    assert settings.port == 3000
    assert settings.host == "127.0.0.1"
    assert settings.keys == ()
    assert settings.redis_url is None
    assert settings.allowed_private_hosts == ()
    assert settings.cors_origins == ("*",)
    assert settings.max_body_mb == 32
    assert settings.max_body_bytes == 32 << 20
    assert settings.max_audio_seconds == 600
    assert settings.request_timeout_s == 60
    assert settings.cache_ttl_s == 3600
    assert settings.profile == "compact"
    assert settings.log_dir == Path("logs")
    assert settings.data_dir == Path("data")
    assert settings.voting == VOTING["compact"]
    assert Settings(profile="published").voting.weights == (0.50, 0.25, 0.25)
    assert Settings(profile="published").voting.threshold == 0.55


def test_a_weighting_of_ones_own_has_no_known_uncertain_band() -> None:
    voting = Settings(ensemble_weights=(1.0, 0.0, 0.0)).voting
    assert voting.weights == (1.0, 0.0, 0.0)
    assert voting.uncertain == (voting.threshold, voting.threshold)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("PORT", "8080", "port", 8080),
        ("HOST", "::", "host", "::"),
        ("HOST", "localhost", "host", "127.0.0.1"),
        ("API_KEYS", " one, two ,,three", "keys", ("one", "two", "three")),
        ("API_KEY", "of a file\n", "keys", ("of a file",)),
        ("API_KEY", " \n", "keys", ()),
        ("ALLOWED_PRIVATE_HOSTS", "db, 10.0.0.0/8", "allowed_private_hosts", ("db", "10.0.0.0/8")),
        ("CORS_ORIGINS", "https://a.example,http://b.example:81", "cors_origins",
         ("https://a.example", "http://b.example:81")),
        ("MAX_BODY_MB", "0.25", "max_body_bytes", 1 << 18),
        ("ENSEMBLE_WEIGHTS", "0.2, 0.3, 0.5", "ensemble_weights", (0.2, 0.3, 0.5)),
        ("PROFILE", "published", "profile", "published"),
        ("CACHE_TTL_S", "0", "cache_ttl_s", 0),
        ("REDIS_URL", "", "redis_url", None),
        ("REDIS_URL", "rediss://user:word@redis:6380/1?socket_timeout=2", "redis_url",
         AnyUrl("rediss://user:word@redis:6380/1?socket_timeout=2")),
        ("REDIS_URL", "unix:///run/redis.sock?db=1", "redis_url", AnyUrl("unix:///run/redis.sock?db=1")),
    ],
)  # fmt: skip
def test_the_environment_sets_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(get_settings(), field) == expected
    check(get_settings())


def test_one_key_and_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "one")
    monkeypatch.setenv("API_KEYS", "two,three")
    assert get_settings().keys == ("one", "two", "three")


def test_keys_from_a_dotenv_file(tmp_path: Path) -> None:
    """The contract: keys come from the environment or a ``.env`` file."""
    file = tmp_path / "keys.env"
    file.write_text("API_KEY=from-file\nAPI_KEYS=second,third\n# a comment\nUNRELATED=1\n")
    assert Settings(_env_file=file).keys == ("from-file", "second", "third")


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.env"
    file.write_text("PORT=4000\n")
    monkeypatch.setenv("PORT", "5000")
    assert Settings(_env_file=file).port == 5000


def test_keys_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "very-secret")
    monkeypatch.setenv("API_KEYS", "very-secret-too")
    assert "very-secret" not in repr(get_settings())
    assert "very-secret" not in str(get_settings().model_dump())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "no address"), ("PORT", "0"), ("PORT", "65536"), ("PORT", "http"), ("API_WORKERS", "0"),
        ("CORS_ORIGINS", "example.org"), ("CORS_ORIGINS", "https://a.example/path"), ("REDIS_URL", "http://redis"),
        ("MAX_BODY_MB", "0"), ("MAX_BODY_MB", "lots"), ("MAX_AUDIO_SECONDS", "-1"), ("MAX_IMAGE_MEGAPIXELS", "nan"),
        ("REQUEST_TIMEOUT_S", "0"), ("REQUEST_TIMEOUT_S", "inf"), ("FETCH_TIMEOUT_S", "soon"), ("MAX_REDIRECTS", "-1"),
        ("CACHE_TTL_S", "-1"), ("CACHE_TTL_S", "1.5"), ("CACHE_TTL_S", "10000000000"),
        ("QUEUE_LATENCY_S", "0"), ("ENSEMBLE_WEIGHTS", "1,1,1"),
        ("ENSEMBLE_WEIGHTS", "0.5,0.5"), ("ENSEMBLE_WEIGHTS", "-1,1,1"), ("ENSEMBLE_THRESHOLD", "1.5"),
        ("ALLOWED_PRIVATE_HOSTS", "10.0.0.0/99"),
        ("ALLOWED_PRIVATE_HOSTS", "http://intranet/"), ("DATA_DIR", "/dev/null/data"), ("LOG_DIR", "/dev/null"),
        ("RUNNERS", '{"voice_gendre": {}}'), ("PROFILE", "huge"), ("RUNNERS", "many"),
        ("RUNNERS", '{"voice_gender": {"workers": 0}}'),
        ("RUNNERS_TOGETHER", "voice_gendre,audio_scene"), ("RUNNERS_TOGETHER", "audio_scene;face_gender,audio_scene"),
        ("RUNNERS_TOGETHER", "all;voice_gender"), ("REDIS_URL", "redis://redis?foo=bar"), ("REDIS_URL", "redis://redis?max_connections=x"),
        ("REDIS_URL", "redis://redis?ssl=true"), ("REDIS_URL", "redis://redis?protocol=9"),
        ("REDIS_URL", "redis://redis?retry=3"), ("REDIS_URL", "rediss://redis?ssl_cert_reqs=maybe"),
        ("RUNNERS", '{"voice_gender": {"wrokers": 1}}'), ("PRECISION", "f16"), ("LOG_LEVEL", "loud"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_right_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = complaint(monkeypatch, name, value)
    assert message.startswith("configuration error: ")
    assert name in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KEY_STORE", "redis", "KEY_STORE needs REDIS_URL where"),
        ("CORS_ORIGINS", "a.example", "CORS_ORIGINS.0: 'a.example' is neither"),
        *[("ENSEMBLE_WEIGHTS", value, "ENSEMBLE_WEIGHTS: it must be three numbers of at least 0 that sum to 1")
          for value in ("1,2", "1,2,3", "a,b,c", "nan,0,1")],
        ("RUNNERS", '{"voice_gender": {"worker": 1}}',
         "RUNNERS.voice_gender.worker: there is no such option, there are workers, threads, "),
        ("RUNNERS", '{"voice_gendr": {}}', "RUNNERS: no model is called voice_gendr, there are "),
        ("RUNNERS_TOGETHER", "voice_gendr", "RUNNERS_TOGETHER: no model is called voice_gendr, there are "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_in_words_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    assert complaint(monkeypatch, name, value).startswith(f"configuration error: {words}")


def test_all_wrong_values_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    message = complaint(monkeypatch, "PROFILE", "y")
    assert "PORT" in message
    assert "PROFILE" in message


def test_a_wrong_value_beside_a_secret_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "very-secret")
    assert "very-secret" not in complaint(monkeypatch, "PORT", "x")
    assert "hunter2" not in complaint(monkeypatch, "REDIS_URL", "http://user:hunter2@redis")
    monkeypatch.delenv("PORT")
    shown = complaint(monkeypatch, "REDIS_URL", "redis://user:hunter2@redis?db=1&pasword=hunter2")
    assert "hunter2" not in shown
    assert "db, pasword" in shown


@pytest.mark.parametrize("folder", ["file", "/proc/data"])
def test_a_data_dir_that_cannot_be_written_is_named_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    (tmp_path / "file").write_text("")
    try_data_dir(Settings(data_dir=tmp_path / folder))
    (said,) = caplog.messages
    assert said.startswith(f"no data files: DATA_DIR {tmp_path / folder} cannot be written: ")


def test_looking_at_the_data_dir_leaves_nothing_in_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    try_data_dir(Settings(data_dir=tmp_path / "data"))
    assert caplog.messages == []
    assert list((tmp_path / "data").iterdir()) == []


def test_the_table_has_every_variable() -> None:
    lines = table().splitlines()
    assert [line.split("`")[1] for line in lines] == [name.upper() for name in Settings.model_fields]


@pytest.mark.served
def test_a_wrong_value_stops_the_start(tmp_path: Path, store: Path) -> None:
    """``bentoml serve`` ends with one line that names the variable, and without a stack trace."""
    (tmp_path / "file").write_text("")
    wrong = {
        "PORT": "x", "PROFILE": "huge", "ALLOWED_PRIVATE_HOSTS": "10.0.0.0/99",
        "RUNNERS": '{"voice_gendre": {"workers": 1}}', "DATA_DIR": str(tmp_path / "file"),
    }  # fmt: skip

    def start(name: str) -> subprocess.CompletedProcess[str]:
        folder = Path(tempfile.mkdtemp(prefix="start-"))  # short: sockets below it have paths of 108 bytes at most
        variables = environment(folder, 1, SETTINGS) | {name: wrong[name], "BENTOML_HOME": str(store)}
        variables["PYTHONPATH"] = str(ROOT)
        command = [BENTOML, "serve", "service:MediaClassifier"]
        ended = subprocess.run(
            command, cwd=folder, env=variables, text=True, capture_output=True, timeout=120, check=False
        )
        shutil.rmtree(folder, ignore_errors=True)
        return ended

    with ThreadPoolExecutor(len(wrong)) as crowd:
        ended = dict(zip(wrong, crowd.map(start, wrong), strict=True))
    for name, process in ended.items():
        lines = process.stderr.strip().splitlines()
        assert process.returncode != 0, name
        assert [line for line in lines if "configuration error" in line and name in line], (name, process.stderr)
        assert "Traceback" not in process.stderr + process.stdout
        assert len(lines) == 1, process.stderr
