"""The table of what is refused for holding no speech."""

from __future__ import annotations

from training import refused


def kind(name: str, clips: int, count: int) -> dict[str, object]:
    return {"kind": name, "clips": clips, "refused": count}


def test_the_bounds_are_on_all_of_a_kind_and_what_is_neither_counts_for_none() -> None:
    found = {
        "English": kind(refused.SPOKEN, 300, 0), "Tamil": kind(refused.SPOKEN, 100, 2), "songs": kind("", 10, 5),
        "noise": kind(refused.NOT_SPOKEN, 20, 20), "music": kind(refused.NOT_SPOKEN, 20, 17),
    }  # fmt: skip
    table = refused.table(found)
    assert "| songs | 10 | 5 |  |" in table
    assert "| **all speech** | 400 | 2 (0.5%) | at most 0.5%: met |" in table
    assert "| **all no speech** | 40 | 37 (92.5%) | at least 95%: **missed** |" in table
