"""Reading a bundle, and refusing one whose parts disagree."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from sidecar.bundle.agree import disagreements, manifest_faults
from sidecar.bundle.evaluation import Evaluation
from sidecar.bundle.manifest import (
    BUNDLE_FORMAT,
    Calibration,
    Golden,
    Manifest,
    ReferenceProfile,
)
from sidecar.bundle.seasonal import SlotCounts, decode_slots
from sidecar.errors import BundleError, Finding

T = TypeVar("T")

# All files but the model are small; a larger one is a mistake, or meant to fill the memory.
_MOST_BYTES = 64 << 20
_NEEDED = ("model.onnx", "reference.json", "golden.jsonl")
_RESTORE = "restore the file, or build the bundle again"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are all there and as the manifest says."""

    path: Path
    manifest: Manifest
    reference: ReferenceProfile
    calibration: Calibration | None
    """None when the reference rows had no labels."""
    golden: tuple[Golden, ...]
    slots: SlotCounts | None = None
    """Counts of the reference by hour of the week; None without a seasonal reference."""

    @property
    def model_path(self) -> Path:
        """Where the ONNX file is."""
        return self.path / "model.onnx"


def load_bundle(path: Path, *, max_model_bytes: int) -> Bundle:
    """Read a bundle and check its digests, sizes and signature (not the model's answers).

    Files that the manifest does not name are not looked at.

    Args:
        path: The bundle's folder.
        max_model_bytes: Largest model file that is taken.

    Raises:
        BundleError: With every fault: missing or changed files, what is malformed, and where.
    """
    faults: list[Finding] = []
    with _gathered(faults):
        manifest = _manifest(_read(path, "manifest.toml", _MOST_BYTES))
    if faults:
        raise BundleError(str(path), faults)
    contents = _checked_contents(path, manifest, max_model_bytes, faults)
    reference = calibration = None
    slots: SlotCounts | None = None
    golden: list[Golden] = []
    with _gathered(faults):
        reference = _json(contents, "reference.json", ReferenceProfile)
    with _gathered(faults):
        calibration = _json(contents, "calibration.json", Calibration)
    with _gathered(faults):
        slots = _slots(contents)
    for number, line in enumerate(contents.get("golden.jsonl", b"").split(b"\n"), start=1):
        with _gathered(faults):
            if line.strip():
                golden.append(_decode("golden.jsonl", line, Golden, f"line {number} "))
    faults += manifest_faults(manifest)
    if reference is not None and not faults:
        faults += disagreements(manifest, reference, golden, slots)
    if reference is None or faults:
        raise BundleError(str(path), faults)
    return Bundle(path, manifest, reference, calibration, tuple(golden), slots)


def load_evaluation(bundle: Bundle) -> Evaluation | None:
    """Read how good the model was; None when the reference rows had no labels.

    Raises:
        BundleError: The file is malformed, or is gone since the bundle was loaded.
    """
    faults: list[Finding] = []
    name = "evaluation.json"
    if name in bundle.manifest.files:
        with _gathered(faults):
            return _decode(name, _read(bundle.path, name, _MOST_BYTES), Evaluation, "")
        raise BundleError(str(bundle.path), faults)
    return None


class _FileError(Exception):
    """One file cannot be used; the others are still looked at."""

    def __init__(self, name: str, message: str, mend: str = _RESTORE) -> None:
        super().__init__(message)
        self.finding = Finding(name, message, mend)


@contextmanager
def _gathered(faults: list[Finding]) -> Iterator[None]:
    try:
        yield
    except _FileError as fault:
        faults.append(fault.finding)


def _manifest(content: bytes) -> Manifest:
    name = "manifest.toml"
    try:
        tree = tomllib.loads(content.decode())
    except ValueError as exc:  # not TOML, or not UTF-8
        raise _FileError(name, f"is not TOML: {exc}") from exc
    declared = tree.get("format")
    if isinstance(declared, int) and declared > BUNDLE_FORMAT:
        message = f"has format {declared}; this version reads up to {BUNDLE_FORMAT}"
        raise _FileError(name, message, "use a newer version of the sidecar")
    try:
        return msgspec.convert(tree, Manifest)
    except msgspec.ValidationError as exc:
        raise _FileError(name, f"is malformed: {exc}") from exc


def _checked_contents(
    folder: Path, manifest: Manifest, max_model_bytes: int, faults: list[Finding]
) -> dict[str, bytes]:
    """Give every file of the manifest but the model, as far as its digest is right."""
    faults += [
        Finding("manifest.toml", f"names no digest of `{name}` under `files`", _RESTORE)
        for name in _NEEDED
        if name not in manifest.files
    ]
    contents = {}
    for name, digest in manifest.files.items():
        with _gathered(faults):
            is_model = name == "model.onnx"
            content = _read(folder, name, max_model_bytes if is_model else _MOST_BYTES)
            if hashlib.sha256(content).hexdigest() != digest:
                raise _FileError(name, "is not the file of the manifest: its sha256 differs")
            if not is_model:
                contents[name] = content
    return contents


def _read(folder: Path, name: str, most: int) -> bytes:
    """Read one file of the folder; it must have a plain name and lie inside.

    Links within the folder are fine: Kubernetes mounts config maps that way.
    """
    path = folder / name
    if name in ("", ".", "..") or Path(name).name != name:
        raise _FileError(name, "leaves the folder", "name files of the bundle only")
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise _FileError(name, "is a link that leaves the folder", "copy the file")
        # A device or a pipe would never end, or never begin.
        if not path.is_file():
            raise _FileError(name, "is not a file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle
        reason = getattr(exc, "strerror", None) or "links to itself"
        raise _FileError(name, f"cannot be read: {reason}") from exc
    if len(content) > most:
        mend = "raise model.max_bytes" if name == "model.onnx" else _RESTORE
        raise _FileError(name, f"is larger than {most} bytes", mend)
    return content


def _json(contents: Mapping[str, bytes], name: str, kind: type[T]) -> T | None:
    """Decode a file; None when it is not there, which was said already if it has to be."""
    return _decode(name, contents[name], kind, "") if name in contents else None


def _slots(contents: Mapping[str, bytes]) -> SlotCounts | None:
    name = "seasonal.npy"
    if name not in contents:
        return None
    try:
        return decode_slots(contents[name])
    except ValueError as exc:
        raise _FileError(name, f"is malformed: {exc}") from exc


def _decode(name: str, content: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _FileError(name, f"{where}is malformed: {exc}") from exc
