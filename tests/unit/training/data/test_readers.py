"""Readers on small trees in the real layouts: what is read, what is refused and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ra_training.data.readers import KINDS, read
from ra_training.data.report import DataSet
from ra_training.errors import TrainingError
from tests.support import dicom_sources, sets
from tests.support.paths import shared_data


def codes(found: DataSet) -> dict[str, str]:
    """Place -> code of every refusal."""
    return {r.where: r.code for r in found.report.refused}


def accounted(found: DataSet, root: Path) -> None:
    """Every file of the tree is in the report."""
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    told = {*found.report.read, *found.report.aside, *(r.where for r in found.report.refused)}
    assert files <= told


def test_bone_age_reads_all_three_headers(tmp_path: Path) -> None:
    found = read("rsna", sets.rsna(tmp_path))
    by_key = {s.key: s for s in found.samples}
    assert [(by_key[f"rsna-{k}"].months, by_key[f"rsna-{k}"].sex) for k in (1377, 1378, 2001)] == [
        (180, "F"), (12, "M"), (94, "M"),
    ]  # fmt: skip
    assert all(s.hands == "left" and s.score is None for s in found.samples)
    assert not found.report.refused
    accounted(found, tmp_path)


def test_bone_age_tells_what_it_cannot_use(tmp_path: Path) -> None:
    root = sets.rsna(tmp_path)
    with (root / "boneage-training-dataset.csv").open("a") as stream:
        stream.write("1379,90,True\n1377,91,True\n1380,old,True\n1381,90,perhaps\n")
        stream.write("1382,90,5,True\n1383\n")
    sets.picture(root / "train" / "9999.png")
    (root / "train" / "1378.png").write_bytes((root / "train" / "1378.png").read_bytes()[:90])
    (root / "readme.txt").write_text("hello")
    found = read("rsna", root)
    assert codes(found) == {
        "boneage-training-dataset.csv:4": "image-missing",
        "boneage-training-dataset.csv:5": "row-duplicate",
        "boneage-training-dataset.csv:6": "label-invalid",
        "boneage-training-dataset.csv:7": "label-invalid",
        "boneage-training-dataset.csv:8": "row-width",
        "boneage-training-dataset.csv:9": "row-width",
        "train/9999.png": "label-missing",
        "train/1378.png": "image-unreadable",
    }
    assert found.report.aside == {"readme.txt": "not part of this layout"}
    assert {s.key for s in found.samples} == {"rsna-1377", "rsna-2001"}
    accounted(found, root)


def test_names_in_a_report_begin_below_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets.rsna(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    report = read("rsna", Path("own")).report
    assert "train/1377.png" in report.read


def test_h1200_joins_grades_crops_boxes_and_masks(tmp_path: Path) -> None:
    found = read("ram-h1200", sets.h1200(tmp_path))
    left, right = found.samples
    assert (left.key, left.patient_id, left.visit, left.hands) == (
        "h1200-0001_01_L", "h1200-0001", "01", "left",
    )  # fmt: skip
    assert left.image is not None
    assert left.score == sum(left.joints.values())
    assert len(left.joints) == len(found.crops[left.key]) == 31
    assert set(right.joints) == {f"R_{k[2:]}" for k in left.joints}
    assert found.boxes[left.key]["Radius"] == ((0, 1, 2, 2),)
    (mask,) = found.masks[left.key]["Radius"]  # type: ignore[misc]
    expected = np.zeros((4, 3), bool)
    expected[[1, 2], 0] = expected[[1, 2], 1] = True
    assert np.array_equal(mask.decode(), expected)
    assert not found.report.refused
    accounted(found, tmp_path)


def test_h1200_counts_what_the_benchmark_skips(tmp_path: Path) -> None:
    root = sets.h1200(tmp_path)
    split = root / "SvdH_Scoring" / "SvdH_BE_Scoring" / "train"
    (split / "0001_01_L" / "R.bmp").unlink()
    shutil.rmtree(split / "0002_01_R")
    path = split / "_annotation_be_scores.json"
    scores = json.loads(path.read_text())
    del scores["0001_01_L.bmp"]["BE_U"]
    scores["0001_01_L.bmp"] |= {"BE_IP": 6, "BE_Nose": 1}
    path.write_text(json.dumps(scores))
    found = read("ram-h1200", root)
    name = "SvdH_Scoring/SvdH_BE_Scoring/train/_annotation_be_scores.json:0001_01_L"
    told = codes(found)
    assert told[f"{name}:BE_R"] == "image-missing"
    assert told[f"{name}:BE_U"] == "label-missing"
    assert told[f"{name}:BE_IP"] == "label-invalid"
    assert told[f"{name}:BE_Nose"] == "site-unknown"
    assert told[name.replace("0001_01_L", "0002_01_R")] == "image-missing"
    left, right = found.samples
    assert left.score is None, "a total with a missing joint would be a lie"
    assert right.score is not None
    accounted(found, root)


def test_compressed_runs_are_cocos() -> None:
    from ra_training.data.readers.rle import mask_of

    # Runs 6 1 40 4 5 4 5 4 21 of pycocotools' documentation example, as its string.
    mask = mask_of({"size": [9, 10], "counts": "61X13mN000`0"})
    assert mask.counts == (6, 1, 40, 4, 5, 4, 5, 4, 21)
    with pytest.raises(ValueError, match="fill"):
        mask_of({"size": [9, 9], "counts": "61X13mN000`0"})


def test_w600_splits_patient_and_side_from_the_name(tmp_path: Path) -> None:
    found = read("ram-w600", sets.w600(tmp_path))
    assert [s.patient_id for s in found.samples] == ["w600-0172", "w600-0172", "w600-0200"]
    assert [s.hands for s in found.samples] == ["left", "left", "right"]
    assert found.samples[2].joints["R_BE_U"] == 5
    assert all(s.score is None for s in found.samples)
    assert set(found.crops["w600-0200_0001_R"]) == {"R_BE_L"}
    assert not found.report.refused
    accounted(found, tmp_path)


def test_w600_refuses_wrong_masks_grades_and_names(tmp_path: Path) -> None:
    root = sets.w600(tmp_path)
    np.save(root / "mask" / "train" / "0200_0001_R.npy", np.full((14, 24, 18), 2, np.uint8))
    sets.picture(root / "image" / "wrist.bmp")
    path = root / "JointBE_SvdH_GT_reformatted.json"
    listed = json.loads(path.read_text())
    listed[0]["joints"]["Lunate"] = 7
    path.write_text(json.dumps(listed))
    found = read("ram-w600", root)
    assert codes(found) == {
        "mask/train/0200_0001_R.npy": "mask-invalid",
        "image/wrist.bmp": "name-unknown",
        "JointBE_SvdH_GT_reformatted.json:0172_0003_L": "label-invalid",
    }
    accounted(found, root)


def test_the_real_wrists_are_read() -> None:
    root = shared_data("ram_w600_wrist")
    found = read("ram-w600", root)
    assert len(found.samples) == len(list(root.glob("*.bmp")))
    assert not found.report.refused
    assert all(s.score is None and s.hands in ("left", "right") for s in found.samples)
    assert any("no SvdH grade" in n for n in found.report.notes)


def test_the_real_dicom_files_are_read_or_refused() -> None:
    root = shared_data("dicom_cr_dx")
    found = read("dicom", root)
    assert len(found.samples) + len(found.report.refused) == len(list(root.glob("*.dcm")))
    assert len(found.samples) >= 4
    accounted(found, root)


def test_dicom_objects_without_what_training_needs_are_refused(tmp_path: Path) -> None:
    good = dicom_sources.clean(tmp_path / "a.dcm", hands="left")
    shutil.copy(good, tmp_path / "b_twin.dcm")
    for name, uid, dirt in (
        ("c_mr.dcm", "1.2.3.1", dicom_sources.with_value("Modality", "MR")),
        ("d_nobody.dcm", "1.2.3.2", dicom_sources.without("PatientID")),
        ("e_report.dcm", "1.2.3.3", dicom_sources.without("Rows")),
        ("f_header.dcm", "1.2.3.4", dicom_sources.without("PixelData")),
    ):
        own = dicom_sources.with_value("SOPInstanceUID", uid)
        dicom_sources.dirty(tmp_path / name, good, dicom_sources.together(own, dirt))
    (tmp_path / "notes.txt").write_text("hello")
    found = read("dicom", tmp_path)
    assert codes(found) == {
        "b_twin.dcm": "row-duplicate",
        "c_mr.dcm": "modality-unknown",
        "d_nobody.dcm": "identifier-missing",
        "e_report.dcm": "image-missing",
        "f_header.dcm": "image-unreadable",
    }
    (sample,) = found.samples
    assert (sample.image, sample.patient_id, sample.hands) == (good, "PHANTOM-11-0001", "left")
    assert found.report.aside == {"notes.txt": "not DICOM"}
    accounted(found, tmp_path)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_empty_folder_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        read(kind, tmp_path)
    assert caught.value.code in ("layout-unknown", "table-missing")
    with pytest.raises(TrainingError, match="no folder"):
        read(kind, tmp_path / "nowhere")


def test_colour_is_refused_and_equal_channels_are_grey(tmp_path: Path) -> None:
    from ra_training.data.pixels import read_image

    grey = np.random.default_rng(1).integers(0, 255, (9, 9), dtype=np.uint8)
    Image.fromarray(np.stack([grey] * 3, 2)).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png").pixels, grey)
    colour = np.stack([grey, grey.T, grey[::-1]], 2)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    with pytest.raises(TrainingError, match="in colour"):
        read_image(tmp_path / "colour.png")


def test_dicom_pixels_are_those_that_serving_sees() -> None:
    from ra_daemon.steps.decode import decode
    from ra_engine.types import Radiograph
    from ra_training.data.pixels import read_image

    compared = 0
    for path in sorted(shared_data("dicom_cr_dx").glob("*.dcm")):
        served = decode(path)
        if not isinstance(served, Radiograph):
            continue
        ours = read_image(path)
        assert np.array_equal(ours.pixels, served.pixels), path.name
        assert ours.inverted == served.inverted
        compared += 1
    assert compared >= 4
