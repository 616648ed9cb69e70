"""Reading a bundle, and refusing one whose parts disagree."""

from dataclasses import dataclass
from pathlib import Path

from sidecar.bundle.manifest import Calibration, Golden, Manifest, ReferenceProfile


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are all there and as the manifest says."""

    path: Path
    manifest: Manifest
    reference: ReferenceProfile
    calibration: Calibration | None
    """None when the reference rows had no labels."""
    golden: tuple[Golden, ...]

    @property
    def model_path(self) -> Path:
        """Where the ONNX file is."""
        return self.path / "model.onnx"


def load_bundle(path: Path, *, max_model_bytes: int) -> Bundle:
    """Read a bundle and check its digests, sizes and signature (not the model's answers).

    Raises:
        BundleError: With every fault: missing or changed files, what is malformed, and where.
    """
    raise NotImplementedError
