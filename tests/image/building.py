"""Builds the image without a container engine, and runs what it runs.

Each stage is a folder that its commands see as `/`. In the place of the base image stand the
programs and libraries of this machine, read-only, and a copy of its Python under `/usr/local`;
so this proves what the Dockerfile does, and not what its base image is.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.image.dockerfile import ROOT, Instruction, Stage, expanded, sent, stages

_HOST = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share")
_ETC = ("ld.so.conf", "resolv.conf", "hosts", "nsswitch.conf", "passwd", "group", "pip.conf")
_KERNEL = ("proc", "sys", "dev")
_CACHE = ROOT / ".cache" / "pip"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
# How this machine reaches a package index is its own affair, as a builder's proxy is.
_OF_THE_MACHINE = ("PIP_", "SSL_", "HTTP_", "HTTPS_", "NO_PROXY", "REQUESTS_")


class CannotBuildError(Exception):
    """This machine cannot build an image this way; the text says why."""


class Image(NamedTuple):
    """What was built."""

    folder: Path
    """Its root."""
    environment: dict[str, str]
    user: str
    workdir: str
    command: list[str]
    """Entry point and default arguments."""

    def started(
        self, mounts: Mapping[Path, str], *, as_root: bool = False, read_only: bool = True
    ) -> list[str]:
        """Give the command that runs it: its user, its environment, and nothing to write to.

        Args:
            mounts: Folders and files of this machine, and where they are to be seen.
            as_root: For what gives its rights away by itself.
            read_only: Whether nothing can be written.
        """
        user = "0:0" if as_root else self.user
        setting = [f"{name}={value}" for name, value in self.environment.items()]
        return _entered(
            self.folder,
            {source: (target, "ro") for source, target in mounts.items()},
            *("chroot", f"--userspec={user}", str(self.folder)),
            *("env", "-i", "-C", self.workdir, *setting, *self.command),
            mode="ro" if read_only else "rw",
        )


def build(folder: Path, **arguments: str) -> Image:
    """Carry out every instruction of the Dockerfile.

    Args:
        folder: Where the stages go.
        arguments: Build arguments.

    Raises:
        CannotBuildError: Not root, no mounts, or another Python than the base has.
    """
    _check()
    context = folder / "context"
    for name in sent():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, context / name)
    built: dict[str, Path] = {}
    image: Image | None = None
    for stage in stages():
        root = folder / (stage.name or "image")
        if stage.base in built:
            shutil.copytree(built[stage.base], root, symlinks=True)
        else:
            _base(root)
        image = _carried_out(stage, root, context, built, arguments)
        built[stage.name] = root
    assert image is not None
    return image


def host(folder: Path) -> Image:
    """Give what the base image has, with a checkout of this repository at /checkout.

    Raises:
        CannotBuildError: As `build`.
    """
    _check()
    root, checkout = folder / "host", folder / "host" / "checkout"
    _base(root)
    for name in ("deploy", "requirements", "sidecar"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy2(ROOT / name, checkout / name)
    return Image(root, {"PATH": _PATH}, "0:0", "/checkout", [])


def carry_out(image: Image, script: str) -> None:
    """Run a script as root; what it writes stays."""
    step = Instruction("RUN", f"--mount=type=cache,target=/root/.cache/pip set -e\n{script}")
    _run(step, image.folder, image.workdir, image.environment)


def mounted(folder: Path, config: Mapping[str, Any], bundle: Path) -> Path:
    """Make what is mounted at /etc/sidecar: a config and its bundle, for everybody to read."""
    shutil.copytree(bundle, folder / "bundle")
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(dict(config)))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def base_python() -> str:
    """Give the minor version of Python in the base image."""
    return stages()[0].base.partition(":")[2].rpartition("-slim")[0].rpartition(".")[0]


def _check() -> None:
    if os.geteuid() != 0:
        raise CannotBuildError("building the image without an engine needs root")
    if platform.python_version().rpartition(".")[0] != base_python():
        raise CannotBuildError(f"the image has Python {base_python()}, this is another one")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        raise CannotBuildError("mount namespaces are not allowed here")


def _base(root: Path) -> None:
    """Lay out what the base image has."""
    _debian(root)
    _python(root / "usr" / "local")
    # As in the base image, Python's own library is found by the linker.
    _run(Instruction("RUN", "ldconfig"), root, "/", {"PATH": _PATH})


def _debian(root: Path) -> None:
    """Make places for what of this machine is mounted, and copy what says how it is set up."""
    for name in _HOST:
        (root / "usr" / name).mkdir(parents=True)
        if (Path("/") / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for name in (*_KERNEL, "root", "run", "opt", "tmp", "etc/ssl"):
        (root / name).mkdir(parents=True)
    for name in _ETC:
        if (Path("/etc") / name).exists():
            shutil.copy2(Path("/etc") / name, root / "etc" / name)
    for name in ("ssl/certs", "ld.so.conf.d"):
        shutil.copytree(Path("/etc") / name, root / "etc" / name)


def _python(target: Path) -> None:
    """Copy this machine's Python, with pip and setuptools alone."""
    prefix, library = Path(sys.base_prefix), f"lib/python{base_python()}"
    for pattern in ("bin/python*", "bin/pip*", "lib/libpython*.so*"):
        for found in prefix.glob(pattern):
            place = target / found.relative_to(prefix)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, place, follow_symlinks=False)

    def left_out(folder: str, names: list[str]) -> set[str]:
        if Path(folder).name == "site-packages":
            return {name for name in names if not name.startswith(("pip", "setuptools"))}
        return {name for name in names if name in ("test", "__pycache__")}

    shutil.copytree(prefix / library, target / library, ignore=left_out)


def _carried_out(
    stage: Stage,
    root: Path,
    context: Path,
    built: Mapping[str, Path],
    arguments: Mapping[str, str],
) -> Image:
    environment, given, workdir, user = {"PATH": _PATH}, dict[str, str](), "/", "0:0"
    for each in stage.instructions:
        values = {**given, **environment}
        match each.keyword:
            case "ARG":
                given |= {name: arguments.get(name, v) for name, v in each.pairs().items()}
            case "ENV":
                environment |= {n: expanded(v, values) for n, v in each.pairs().items()}
            case "WORKDIR":
                workdir = each.rest
                _inside(root, workdir).mkdir(parents=True, exist_ok=True)
            case "USER":
                user = each.rest
            case "COPY":
                source = built[each.options["from"]] if "from" in each.options else context
                _copy(each.words, source, root, workdir)
            case "RUN":
                _run(each, root, workdir, values)
            case "LABEL" | "EXPOSE" | "ENTRYPOINT" | "CMD":
                pass
            case other:
                raise NotImplementedError(f"{other} is not known here")
    last = stage.name == ""
    command = [*stage.exec_form("ENTRYPOINT"), *stage.exec_form("CMD")] if last else []
    return Image(root, environment, user, workdir, command)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _copy(words: str, source: Path, root: Path, workdir: str) -> None:
    *names, target = words.split()
    place = _inside(root, os.path.join(workdir, target))  # noqa: PTH118 (a path of the image)
    for name in names:
        found = sorted(source.glob(name.lstrip("/")))
        assert found, f"COPY {name}: nothing of that name is sent to the builder"
        for each in found:
            if each.is_dir():
                shutil.copytree(each, place, symlinks=True, dirs_exist_ok=True)
            else:
                into = place / each.name if target.endswith("/") else place
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(each, into)


def _run(each: Instruction, root: Path, workdir: str, environment: Mapping[str, str]) -> None:
    mounts: dict[Path, tuple[str, str]] = {}
    if "mount" in each.options:
        option = dict(part.split("=") for part in each.options["mount"].split(","))
        assert option["type"] == "cache", each.rest
        _CACHE.mkdir(parents=True, exist_ok=True)
        mounts[_CACHE] = (option["target"], "rw")
    setting = [f"{name}={value}" for name, value in environment.items()]
    setting += [f"{n}={v}" for n, v in os.environ.items() if n.startswith(_OF_THE_MACHINE)]
    command = _entered(
        root,
        mounts,
        *("chroot", str(root), "env", "-i", "-C", workdir, "HOME=/root", *setting),
        *("/bin/sh", "-c", each.words),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"RUN {each.words}\n{done.stdout}{done.stderr}"


def _entered(
    root: Path, mounts: Mapping[Path, tuple[str, str]], *command: str, mode: str = "rw"
) -> list[str]:
    """Give a command that runs another one among mounts that nobody else sees.

    It becomes that command, so that it has its process id and gets its signals.
    """
    lines = ["set -e", *_mounted(root, root, mode)]
    for name in _HOST:
        if (Path("/usr") / name).is_dir():
            lines += _mounted(Path("/usr") / name, root / "usr" / name, "ro")
    lines += [f"mount --rbind /{name} {shlex.quote(f'{root}/{name}')}" for name in _KERNEL]
    for source, (target, how) in mounts.items():
        place = _inside(root, target)
        (place if source.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
        if source.is_file():
            place.touch()
        lines += _mounted(source, place, how)
    return ["unshare", "-m", "sh", "-c", "\n".join([*lines, f"exec {shlex.join(command)}"])]


def _mounted(source: Path, target: Path, mode: str) -> list[str]:
    place = shlex.quote(str(target))
    lines = [f"mount --bind {shlex.quote(str(source))} {place}"]
    if mode == "ro":
        lines.append(f"mount -o remount,ro,bind {place}")
    return lines
