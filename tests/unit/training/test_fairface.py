"""The set of faces that is made from a clone of FairFace's public copy."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

from training.data import fairface

FACES = Path(__file__).parents[2] / "data" / "faces"


def test_a_set_is_made_from_a_clone(tmp_path: Path) -> None:
    """A clone with three pictures: one that is wanted, one of a baby, and a copy of one that is known."""
    clone, known = tmp_path / "clone", tmp_path / "sets" / "face_gender_more"
    (clone / "fair_face" / "train").mkdir(parents=True)
    for name, portrait in (("1", "male_1"), ("2", "female_2"), ("3", "female_3")):
        shutil.copy(FACES / f"{portrait}.jpg", clone / "fair_face" / "train" / f"{name}.jpg")
    rows = ["file,age,gender,race,service_test", "train/1.jpg,50-59,Male,East Asian,TRUE"]
    rows += ["train/2.jpg,0-2,Female,White,TRUE", "train/3.jpg,40-49,Female,Black,TRUE"]
    (clone / fairface.LABELS).write_text("\n".join(rows) + "\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", "-C", str(clone), *command], check=True)
    known.mkdir(parents=True)
    shutil.copy(FACES / "female_3.jpg", known / "known.jpg")
    (known / "manifest.csv").write_text("file,group_id\nknown.jpg,other\n")
    made = fairface.make(clone, [known], tmp_path / "out", most=10, commit="HEAD")
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert made == 1
    assert (row["label"], row["age"], row["ethnicity"], row["split"]) == ("male", "55", "Asian", "train")
    assert (tmp_path / "out" / row["file"]).read_bytes() == (FACES / "male_1.jpg").read_bytes()
