"""What contestants run in: an environment of their own, or Java classes; each is made once."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

_CACHE = Path(__file__).parent.parent / ".cache"


class CannotInstallError(RuntimeError):
    """An environment cannot be made; the text says why."""


def python(name: str, requirements: Path | None) -> str:
    """Give an interpreter whose environment has what some locked requirements name.

    Args:
        name: Of the folder that holds it.
        requirements: The file; the environment of this run when there is none.

    Raises:
        CannotInstallError: An installer failed.
    """
    if requirements is None:
        return sys.executable
    folder = _CACHE / f"{name}-{_digest(requirements)}"
    interpreter = folder / "bin" / "python"
    done = folder / "done"
    if not done.exists():
        print(f"setting up {name} (once)", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        # The file names all that is needed, and leaves out what only other uses need.
        install = ("-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r")
        _run(str(interpreter), *install, str(requirements))
        done.touch()
    return str(interpreter)


def classes(project: Path) -> str:
    """Give the class path of a Maven project, compiled, with all that it needs.

    Raises:
        CannotInstallError: Maven failed, or there is no Java compiler.
    """
    sources = sorted(project.rglob("*.java"))
    folder = _CACHE / f"{project.name}-{_digest(project / 'pom.xml', *sources)}"
    done = folder / "done"
    if not done.exists():
        print(f"building {project.name} (once)", flush=True)
        maven = ("mvn", "-q", "-B", "-f", str(project / "pom.xml"))
        where = (f"-DbuildDirectory={folder}", f"-DoutputDirectory={folder / 'jars'}")
        _run(
            *maven, "compile", "dependency:copy-dependencies", "-DincludeScope=runtime", *where
        )
        done.touch()
    return f"{folder / 'classes'}:{folder / 'jars'}/*"


def _digest(*files: Path) -> str:
    content = sha256()
    for file in files:
        content.update(file.read_bytes())
    return content.hexdigest()[:8]


def _run(*command: str) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotInstallError(f"`{command[0]}` is not there") from error
    if ended.returncode:
        raise CannotInstallError(f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}")
