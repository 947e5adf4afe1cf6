"""What the bundle was attacked with, what is promised, and which tests show it: the table of ``docs/reliability.md``.

``python -m tests.support.reliability`` writes the table into the page.
With ``--tests`` it prints what ``pytest`` takes to run them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- reliability: python -m tests.support.reliability -->\n", "<!-- end -->\n"


class Case(NamedTuple):
    """One kind of load, fault or hostile input.

    Attributes:
        attempt: What was done.
        promise: What holds all the same.
        tests: Files below ``tests/``, or functions in them (``file.py::name``).
    """

    attempt: str
    promise: str
    tests: tuple[str, ...]


CASES: dict[str, tuple[Case, ...]] = {
    "Hostile bytes": (
        Case(
            "Audio headers of any numbers: rates, channels, lengths, counts, tags, codebooks, in every container; "
            "packets by the hundred thousand",
            "400, 413 or 422; never more than 300 MB above idle, measured in a child process with bounded memory",
            ("unit/media/test_hostile_audio.py",),
        ),
        Case(
            "Recordings that bring no sound, or hardly any, however much is read and tried",
            "Given up at the deadline, or after some packets",
            (
                "unit/media/test_audio_refused.py::test_deadline_of_a_recording_that_brings_no_frame",
                "unit/media/test_hostile_audio.py::test_the_corpus_costs_little_and_is_refused",
            ),
        ),
        Case(
            "Picture headers of any numbers; one row or column; decompression bombs; endless scans",
            "Refused by the header, before a pixel is decoded",
            (
                "unit/media/test_hostile_images.py",
                "unit/media/test_image_bounds.py::test_a_decompression_bomb_is_refused_by_its_header",
            ),
        ),
        Case(
            "Pictures of segments or chunks, and recordings of marks of tags, by the ten thousand",
            "Refused or overwritten before memory was taken for each",
            (
                "unit/media/test_image_bounds.py::test_segments_without_end_are_not_followed",
                "unit/media/test_image_bounds.py::test_chunks_without_end_are_not_kept",
                "unit/media/test_audio_refused.py::test_tags_by_the_hundred_thousand_cost_no_memory",
            ),
        ),
        Case(
            "Recordings of empty chunks, boxes or tags by the million before any sound",
            "400 after some hundred thousand, and of tags after a thousand",
            (
                "unit/media/test_audio_refused.py::test_parts_without_sound_are_not_followed_without_end",
                "unit/media/test_audio_refused.py::test_tags_by_the_hundred_thousand_are_not_followed",
            ),
        ),
        Case(
            "Files that are cut off or damaged at random",
            "Decoded or refused, never a crash",
            ("unit/media/test_image.py::test_damaged_files_are_decoded_or_refused_but_never_crash",),
        ),
        Case(
            "Pictures turned by 90, 180 or 270 degrees that do not say so",
            "The face is found upright; of the right answers at least 95 % stay right (the face model's card)",
            (
                "unit/media/test_faces.py::test_a_face_turned_by_quarters_is_found_upright",
                "unit/training/test_face_robustness.py::test_quarter_turns_leave_the_answer_as_it_was_measured",
            ),
        ),
        Case(
            "What decoding a picture takes, by its header",
            "Never more than was reserved for it",
            ("unit/media/test_cost.py",),
        ),
        Case(
            "Forms, encodings, keys and content types as real clients send them, right and wrong",
            "Accepted where the meaning is clear, otherwise 400, 403, 413 or 415 with words",
            ("unit/api/test_bodies.py", "unit/api/test_inflate.py", "contract/test_c7_errors.py"),
        ),
        Case(
            "Files of other kinds (AVI, TIFF, ZIP ...), and audio files where raw PCM is expected",
            "Told by their first bytes: decoded as what they are, or named in the answer",
            ("unit/media/test_signatures.py",),
        ),
    ),
    "Hostile servers and addresses": (
        Case(
            "Downloads of one-byte chunks, endless interim responses, drops, silence",
            "Given up below a least throughput; other requests are not held up",
            ("unit/media/test_fetch_hostile.py", "serving/test_hostile_servers.py"),
        ),
        Case(
            "Private addresses by name, redirect, rebinding and odd notation",
            "Not reached, unless `ALLOWED_PRIVATE_HOSTS` says so",
            ("unit/media/test_addresses.py", "unit/media/test_fetch_redirects.py"),
        ),
        Case(
            "200 host names of one domain, or 64 of as many, whose name servers do not answer",
            "One domain holds up no other; with many, what cannot begin within 3 s gets 503 with `Retry-After`",
            ("unit/media/test_lookups.py",),
        ),
    ),
    "Load": (
        Case(
            "Many stalled uploads and downloads, and much decoded at once",
            "One budget of bytes (`MEMORY_BUDGET_MB`); above it 503 with `Retry-After`",
            ("serving/test_memory.py", "unit/core/test_memory.py", "unit/api/test_limits.py"),
        ),
        Case(
            "Connections without a complete request head, three times as many as there are descriptors",
            "Closed after `HEAD_TIMEOUT_S`, the oldest first where descriptors run out; new clients still get in",
            ("unit/api/test_silent_connections.py",),
        ),
        Case(
            "Uploads that never end, twice as many as there are descriptors",
            "Where descriptors run out and no connection is silent, the oldest of them are closed; new clients still "
            "get in, and a request that waits for its answer keeps its connection",
            ("unit/api/test_silent_connections.py::test_uploads_that_never_end_shut_no_client_out",),
        ),
        Case(
            "Heads, trailers and addresses without end, requests by the thousand before the first answer, chunks of a "
            "byte, floods of pings, answers that are not read",
            "The connection is closed, with 400 where that can be said, and no other client waits",
            ("unit/api/test_talkative_connections.py", "unit/api/test_silent_connections.py"),
        ),
        Case(
            "Several JSON bodies of 31 MB of base64 at once",
            "Parsed and decoded one at a time, bit by bit, in a thread: others wait for no more than one such step",
            (
                "unit/api/test_order.py::test_large_bodies_are_parsed_and_decoded_one_at_a_time",
                "unit/media/test_base64_audio.py::test_no_function_is_given_more_than_a_piece",
            ),
        ),
        Case(
            "JSON of millions of values in a body that is not too large",
            "400 before it is parsed, which would take 37 times its size",
            ("unit/api/test_order.py::test_a_body_of_a_million_values_is_not_parsed",),
        ),
        Case(
            "Requests that fail, by the hundred",
            "What they had in hand is free at once, without a garbage collection",
            ("unit/scheduling/test_kept_memory.py",),
        ),
        Case(
            "More requests than can be answered within `QUEUE_LATENCY_S`",
            "429 with `Retry-After` before anything is read, downloaded or decoded: key, room, body, decode",
            ("unit/api/test_order.py", "unit/scheduling/test_shedding.py"),
        ),
        Case(
            "300 callers in a loop for 600 s (simulated), who come back when `Retry-After` says so",
            "Of those who come back then, 80 % and more are let in; the others are told a later time",
            (
                "unit/scheduling/test_admission.py",
                "unit/scheduling/test_queue_room.py::test_those_who_come_back_when_told_find_room",
            ),
        ),
        Case(
            "Recordings of 600 seconds in 57 bytes, many at once",
            "Those that cannot be answered in time get 429 by the length that their header states, before they are "
            "decoded, or else on the way; none is a 504, and short ones pass them by",
            (
                "serving/test_long_recordings.py",
                "unit/tasks/test_long_recordings.py",
                "unit/tasks/test_long_recordings_decoded.py",
            ),
        ),
        Case(
            "A log file whose lock another process holds, or a disk that stands still",
            "No request waits; lines beyond 10,000 are dropped and counted by `bundle_log_dropped_total`",
            ("unit/core/test_logs.py",),
        ),
        Case(
            "All routes at once, and after a pause",
            "No failure, and no call to a runner that has to be sent again",
            (
                "serving/test_resilience.py::test_many_requests_of_all_routes_at_once",
                "serving/test_resilience.py::test_after_a_pause_nothing_fails",
            ),
        ),
        Case(
            "Callers who leave before, in and after the body",
            "Their work ends, others do not wait, and SIGTERM ends the server at once beside what is still answered",
            (
                "serving/test_stopping.py",
                "unit/api/test_limits.py::test_a_caller_who_leaves_in_the_middle_of_the_body_ends_the_work",
                "contract/test_c7_errors.py::test_a_caller_who_leaves_harms_no_other",
            ),
        ),
    ),
    "Stores": (
        Case(
            "JSON of the wrong shape, other types, line breaks in tags, infinities, nesting, large values, in Redis "
            "and SQLite; leases that never end; another program's tables",
            "A miss, deleted, and counted by `bundle_store_invalid_total`; the store stays in use",
            ("unit/storage/test_hostile_stores.py",),
        ),
        Case(
            "Redis killed, hanging, empty, full, read-only or of another password; a cache file that is damaged or "
            "cannot be written",
            "Slower, and no request fails",
            ("unit/storage/test_cache_backends.py", "serving/test_redis.py"),
        ),
        Case(
            "`kill -9` while the latest result is written; several writers; no Redis",
            "The old result or the new one, never half of one",
            ("unit/storage/test_latest.py", "contract/test_c3_heart_sound.py::test_it_survives_a_crash"),
        ),
        Case(
            "`DATA_DIR` full or not writable",
            "507 with words for heart sounds, unless Redis has kept the result; everything else is answered as ever",
            (
                "unit/storage/test_latest.py::test_full_disk_keeps_the_old_result_and_says_so",
                "contract/test_c3_heart_sound.py::test_storage_that_cannot_be_written",
            ),
        ),
        Case(
            "The folder of the metrics (`BENTOML_HOME`) full, at the start and later",
            "No process ends; new series wait in memory, and are shown with their next count once there is room",
            ("unit/core/test_metrics.py::test_a_full_disk_ends_no_process_and_what_it_missed_is_shown_later",),
        ),
    ),
    "Models": (
        Case(
            "A file of a saved model changed, missing or added",
            "Its runner refuses to start with one line; the other models answer; `make save` mends it",
            (
                "unit/models/test_store.py::test_an_entry_that_is_not_as_it_was_saved_is_refused",
                "serving/test_model_entries.py::test_a_runner_refuses_an_entry_that_is_damaged",
            ),
        ),
        Case(
            "`make save` under a running server, then restarts in any order",
            "The cache and `x-model` go by what the runner serves",
            ("serving/test_model_entries.py::test_cache_and_header_follow_the_entry_that_a_runner_serves",),
        ),
    ),
    "Processes": (
        Case(
            "`kill -9` of a runner or of the API under load",
            "A killed process is started again after half a second; others never notice",
            (
                "serving/test_resilience.py::test_a_killed_runner_comes_back_and_the_others_never_notice",
                "unit/core/test_supervisor.py",
            ),
        ),
        Case(
            "`kill -9` of the process that workers are copies of",
            "No request notices; another takes its place when a worker is needed",
            (
                "serving/test_resilience.py::test_without_the_fork_server_answers_go_on_and_a_killed_runner_comes_back",
                "unit/core/test_fork_server.py",
            ),
        ),
        Case(
            "A runner that hangs",
            "Named by `/readyz`; 503 within seconds for its own route",
            ("serving/test_resilience.py::test_a_runner_that_hangs_is_named_and_given_up",),
        ),
        Case(
            "One item that a model fails on",
            "It fails alone",
            ("serving/test_resilience.py::test_a_bad_item_fails_alone",),
        ),
    ),
}


def table() -> str:
    """The table in Markdown, with links to the tests from the page."""
    lines = ["| what was tried | what is promised | shown by |", "| --- | --- | --- |"]
    for kind, cases in CASES.items():
        lines.append(f"| **{kind}** | | |")
        lines += [f"| {case.attempt} | {case.promise} | {', '.join(map(_link, case.tests))} |" for case in cases]
    return "\n".join(lines) + "\n"


def tests() -> list[str]:
    """What ``pytest`` takes to run the tests of the table."""
    return sorted({f"tests/{test}" for cases in CASES.values() for case in cases for test in case.tests})


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[`{name or file.rpartition('/')[2]}`](../tests/{file})"


def main() -> None:
    """Writes the page, or prints the tests."""
    if sys.argv[1:] == ["--tests"]:
        print(*tests())
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
