import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.bundle.load import load_bundle
from sidecar.errors import BundleError
from tests.bundle_factory import build_credit_bundle

MOST = 1 << 20
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_credit_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """Give a copy of a good bundle that a test may spoil."""
    return Path(shutil.copytree(pristine, tmp_path / "credit"))


def faults(folder: Path, most: int = MOST) -> list[str]:
    with pytest.raises(BundleError) as error:
        load_bundle(folder, max_model_bytes=most)
    assert error.value.what == str(folder)
    return [f"{finding.path}: {finding.message}" for finding in error.value.findings]


def swap(folder: Path, name: str, old: str, new: str) -> None:
    """Change a file and its digest in the manifest, as somebody who edits by hand would."""
    path, manifest = folder / name, folder / "manifest.toml"
    content = path.read_bytes()
    assert old.encode() in content
    changed = content.replace(old.encode(), new.encode(), 1)
    path.write_bytes(changed)
    before, after = (hashlib.sha256(each).hexdigest() for each in (content, changed))
    manifest.write_text(manifest.read_text().replace(before, after))


def add(folder: Path, name: str, content: bytes) -> None:
    """Put a file into the bundle and its digest into the manifest."""
    (folder / name).write_bytes(content)
    manifest = folder / "manifest.toml"
    line = f'[files]\n"{name}" = "{hashlib.sha256(content).hexdigest()}"'
    assert manifest.read_text().count("[files]") == 1
    manifest.write_text(manifest.read_text().replace("[files]", line))


def test_a_good_bundle_is_read_whole(folder: Path) -> None:
    bundle = load_bundle(folder, max_model_bytes=MOST)

    assert [feature.name for feature in bundle.manifest.features] == list(
        bundle.reference.features
    )
    assert bundle.calibration is not None
    assert bundle.calibration.records == bundle.reference.records == 2_000
    assert len(bundle.golden) == 20
    assert bundle.model_path == folder / "model.onnx"


def test_files_beside_those_of_the_manifest_are_fine(folder: Path) -> None:
    (folder / "notes.txt").write_text("seen by the model board")

    assert load_bundle(folder, max_model_bytes=MOST).path == folder


def test_links_within_the_folder_are_fine(folder: Path) -> None:
    (folder / "..data").mkdir()
    for name in ("model.onnx", "reference.json"):
        (folder / name).rename(folder / "..data" / name)
        (folder / name).symlink_to(Path("..data") / name)

    assert load_bundle(folder, max_model_bytes=MOST).path == folder


def test_without_labels_there_is_no_calibration(folder: Path) -> None:
    manifest = folder / "manifest.toml"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "calibration.json" not in line))

    assert load_bundle(folder, max_model_bytes=MOST).calibration is None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert faults(tmp_path / "no") == [
        "manifest.toml: cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    "name", ["model.onnx", "reference.json", "calibration.json", "golden.jsonl", "CARD.md"]
)
def test_a_changed_byte_anywhere_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    assert faults(folder) == [f"{name}: is not the file of the manifest: its sha256 differs"]


def test_every_fault_is_listed_at_once(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "CARD.md").write_text("changed")
    swap(folder, "reference.json", "{", "[")
    swap(folder, "golden.jsonl", '"score"', '"scare"')

    assert [fault.partition(":")[0] for fault in faults(folder)] == [
        "model.onnx",
        "CARD.md",
        "reference.json",
        "golden.jsonl",
    ]


def test_a_malformed_line_is_named(folder: Path) -> None:
    swap(folder, "golden.jsonl", '"score":', '"score":"x",":":')

    assert faults(folder) == [
        "golden.jsonl: line 1 is malformed: Expected `float`, got `str` - at `$.score`"
    ]


def test_a_model_beyond_the_limit_is_refused(folder: Path) -> None:
    size = (folder / "model.onnx").stat().st_size

    assert load_bundle(folder, max_model_bytes=size).path == folder
    assert faults(folder, size - 1) == [f"model.onnx: is larger than {size - 1} bytes"]


def manifest_swap(old: str, new: str) -> Change:
    return lambda folder: swap(folder, "manifest.toml", old, new)


def link_outside(folder: Path) -> None:
    outside = folder.parent / "outside.md"
    (folder / "CARD.md").rename(outside)
    (folder / "CARD.md").symlink_to(outside)


def link_to_itself(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").symlink_to("CARD.md")


def folder_in_place_of_a_file(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").mkdir()


SPOILED: dict[str, tuple[Change, str]] = {
    "not TOML": (manifest_swap("format = 1", "format ="), "manifest.toml: is not TOML: "),
    "a later format": (
        manifest_swap("format = 1", "format = 2\nshiny = true"),
        "manifest.toml: has format 2; this version reads up to 1",
    ),
    "an unknown key": (
        manifest_swap("format = 1", "format = 1\nshiny = true"),
        "manifest.toml: is malformed: Object contains unknown field `shiny`",
    ),
    "a wrong type": (
        manifest_swap("rank = 2", 'rank = "2"'),
        "manifest.toml: is malformed: Expected `int`, got `str` - at `$.model.inputs[0].rank`",
    ),
    "no digest of a needed file": (
        manifest_swap('"golden.jsonl"', '"CARD.md.old"'),
        "manifest.toml: names no digest of `golden.jsonl` under `files`",
    ),
    "a file name that climbs out": (
        manifest_swap('"CARD.md"', '"../CARD.md"'),
        "../CARD.md: leaves the folder",
    ),
    "an absolute file name": (
        manifest_swap('"CARD.md"', '"/etc/passwd"'),
        "/etc/passwd: leaves the folder",
    ),
    "a link that leaves": (link_outside, "CARD.md: is a link that leaves the folder"),
    "a link to itself": (link_to_itself, "CARD.md: cannot be read: "),
    "a folder in place of a file": (folder_in_place_of_a_file, "CARD.md: is not a file"),
    "a feature twice": (
        manifest_swap('[[features]]\nname = "age"', '[[features]]\nname = "amount"'),
        "manifest.toml: names the feature `amount` twice",
    ),
    "an input of no feature": (
        manifest_swap('features = [\n    "age",', 'features = [\n    "edge",'),
        "manifest.toml: puts `edge`, which is no feature, into the input `age`",
    ),
    "text for a number": (
        manifest_swap('name = "amount"\ntype = "float"', 'name = "amount"\ntype = "string"'),
        "manifest.toml: names no categories of the string feature `amount`",
    ),
    "an integer input that may be missing": (
        manifest_swap('type = "integer"', 'type = "integer"\nrequired = false'),
        "manifest.toml: lets the feature `age` be missing, "
        "which the int64 input `age` cannot say",
    ),
    "an unknown tensor type": (
        manifest_swap('dtype = "bool"', 'dtype = "float8"'),
        "manifest.toml: has an unknown type `float8` for the input `is_customer`",
    ),
    "a vector of two features": (
        manifest_swap(
            'features = [\n    "age",\n]\nrank = 2',
            'features = [\n    "age",\n    "region",\n]\nrank = 1',
        ),
        "manifest.toml: has a rank that does not fit the features of the input `age`",
    ),
    "answers without classes": (
        manifest_swap('classes = [\n    "decline",\n    "approve",\n]', "classes = []"),
        "manifest.toml: names no classes, though the model answers with them",
    ),
    "an output too many": (
        manifest_swap('scores = [\n    "probabilities",', 'scores = [\n    "a",\n    "b",'),
        "manifest.toml: names 2 outputs with scores; expected 1",
    ),
    "too few labels": (
        manifest_swap('labels = [\n    "decline",', "labels = ["),
        "manifest.toml: has 1 labels for the task binary",
    ),
    "an activation that does not fit": (
        manifest_swap('task = "binary"', 'task = "regression"\nactivation = "sigmoid"'),
        "manifest.toml: has an activation, which a regression does not have",
    ),
    "limits upside down": (
        manifest_swap('type = "float"', 'type = "float"\nlimits = [9.0, 1.0]'),
        "manifest.toml: has limits of `amount` that no value is within",
    ),
    "a reference of another feature": (
        lambda folder: swap(folder, "reference.json", '"income"', '"outcome"'),
        "reference.json: has no profile of `income`",
    ),
    "a reference with other categories": (
        lambda folder: swap(folder, "reference.json", '"silver"', '"copper"'),
        "reference.json: has other categories of `segment` than the manifest",
    ),
    "a reference with other labels": (
        lambda folder: swap(folder, "reference.json", '"decline"', '"refuse"'),
        "reference.json: has other labels than the manifest",
    ),
    "a reference without a measure": (
        lambda folder: swap(folder, "reference.json", '"margin"', '"spread"'),
        "reference.json: has other measures of confidence than "
        "max_probability, margin, entropy",
    ),
    "a count too many": (
        lambda folder: swap(folder, "reference.json", '"counts": [', '"counts": [0,'),
        "reference.json: has 68 counts of `amount` for 67 cells",
    ),
    "edges out of order": (
        lambda folder: swap(folder, "reference.json", '"edges": [', '"edges": [9e99,'),
        "reference.json: has edges of `amount` that do not ascend",
    ),
    "counts of other records": (
        lambda folder: swap(folder, "reference.json", '"records": 2000', '"records": 2001'),
        "reference.json: has counts of `amount` that do not add up to its 2001 records",
    ),
    "a calibration twice": (
        lambda folder: swap(
            folder, "reference.json", '"length_ms": 300000', '"length_ms": 3600000'
        ),
        "reference.json: has two calibrations of windows of the same length",
    ),
    "a calibration of a season that is not there": (
        lambda folder: swap(
            folder, "reference.json", '"reference": "overall"', '"reference": "seasonal"'
        ),
        "reference.json: has a seasonal calibration and no season",
    ),
    "a season without its counts": (
        lambda folder: swap(
            folder, "reference.json", '"season": null', '"season": "hour-of-week"'
        ),
        "seasonal.npy: is there without a season in reference.json, or lacks with one",
    ),
    "counts of a season that are none": (
        lambda folder: add(folder, "seasonal.npy", b"no array"),
        "seasonal.npy: is malformed: ",
    ),
    "a golden row of another feature": (
        lambda folder: swap(folder, "golden.jsonl", '"income"', '"outcome"'),
        "golden.jsonl: line 1 has other features than the manifest",
    ),
    "a golden row of another type": (
        lambda folder: swap(folder, "golden.jsonl", '"segment":"silver"', '"segment":3'),
        "golden.jsonl: line 1 has a value of `segment` of another type",
    ),
    "a golden row of another label": (
        lambda folder: swap(folder, "golden.jsonl", '"label":"approve"', '"label":"maybe"'),
        "golden.jsonl: line 1 has a label that is none of the model's",
    ),
    "no golden rows": (
        lambda folder: swap(
            folder, "golden.jsonl", (folder / "golden.jsonl").read_text(), "\n"
        ),
        "golden.jsonl: holds no rows",
    ),
}


@pytest.mark.parametrize(("change", "fault"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_bundle_is_refused(folder: Path, change: Change, fault: str) -> None:
    change(folder)

    assert any(found.startswith(fault) for found in faults(folder)), faults(folder)
