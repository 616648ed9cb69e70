"""Writing a bundle: all of it, or nothing."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from sidecar.bundle.manifest import Manifest
from sidecar.errors import Finding, UserError


def write_bundle(
    out: Path, manifest: Manifest, files: Mapping[str, bytes], *, force: bool = False
) -> Manifest:
    """Write a bundle's folder; it appears complete under its name, or not at all.

    Args:
        out: The folder; folders above it are made.
        manifest: Without digests; they are filled in here.
        files: Content of every other file, by name.
        force: Replace a bundle that is there. A folder that holds no bundle is never replaced.

    Returns:
        The manifest as written.

    Raises:
        UserError: The folder exists.
    """
    check_free(out, force=force)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = msgspec.structs.replace(manifest, files=digests)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        (fresh / "manifest.toml").write_bytes(encode_manifest(manifest))
        if out.exists():
            out.rename(Path(scratch) / "old")
        fresh.rename(out)
    return manifest


def check_free(out: Path, *, force: bool) -> None:
    """Refuse a folder that must not be written to, before the work is done.

    Raises:
        UserError: It exists, and is no bundle or must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "manifest.toml").is_file():
        finding = Finding("--out", "exists and is no bundle", "choose another --out")
    elif not force:
        finding = Finding(
            "--out", "exists already", "choose another folder, or replace it with --force"
        )
    else:
        return
    raise UserError(str(out), [finding])


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as TOML."""
    return tomli_w.dumps(msgspec.to_builtins(manifest)).encode()


def encode_json(value: Any) -> bytes:
    """Write a Struct as JSON that people can read and git can compare."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def encode_jsonl(values: list[Any]) -> bytes:
    """Write Structs as one line of JSON each."""
    return msgspec.json.Encoder().encode_lines(values)
