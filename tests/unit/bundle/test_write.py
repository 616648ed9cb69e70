import tomllib
from pathlib import Path

import msgspec
import pytest

from sidecar.bundle.load import load_bundle
from sidecar.bundle.manifest import Feature, FeatureType, Manifest
from sidecar.bundle.write import encode_manifest, write_bundle
from sidecar.errors import UserError
from tests.bundle_factory import build_credit_bundle
from tests.onnx_graphs import regression_manifest


def test_a_manifest_reads_back_as_it_was_written() -> None:
    feature = Feature(
        name='größe "x"',
        type=FeatureType.INTEGER,
        required=False,
        categories=(1, 2, 7),
        limits=(-1.5, 1e300),
        unit="m²",
    )
    manifest = msgspec.structs.replace(regression_manifest(), features=(feature,))

    tree = tomllib.loads(encode_manifest(manifest).decode())

    assert msgspec.convert(tree, Manifest) == manifest


def test_digests_are_filled_in(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "b", regression_manifest(), {"a.txt": b"abc"})

    assert written.files == {
        "a.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "a.txt",
        "manifest.toml",
    ]


def test_a_bundle_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", regression_manifest(), {"a.txt": b"first"})

    with pytest.raises(UserError, match="exists"):
        write_bundle(tmp_path / "b", regression_manifest(), {"a.txt": b"second"})
    write_bundle(tmp_path / "b", regression_manifest(), {"b.txt": b"third"}, force=True)

    assert {path.name for path in tmp_path.iterdir()} == {"b"}
    assert not (tmp_path / "b" / "a.txt").exists()
    assert (tmp_path / "b" / "b.txt").read_bytes() == b"third"


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")

    with pytest.raises(UserError, match="exists and is no bundle"):
        write_bundle(tmp_path / "photos", regression_manifest(), {}, force=force)

    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_bundle(tmp_path / "b", regression_manifest(), {"no/such/folder": b""})

    assert list(tmp_path.iterdir()) == []


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (build_credit_bundle(folder) for folder in folders)

    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }
    assert load_bundle(one, max_model_bytes=1 << 20).golden
