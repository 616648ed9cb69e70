"""Reads the Dockerfile: stages, what each instruction says, and what the builder is sent."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction, its continuation lines joined."""

    keyword: str
    rest: str

    @property
    def options(self) -> dict[str, str]:
        """What stands before its arguments as `--name=value`."""
        return dict(re.findall(r"--(\w+)=(\S+)", self.rest[: len(self.rest) - len(self.words)]))

    @property
    def words(self) -> str:
        """Its arguments without the options before them."""
        return re.sub(r"^(?:--\w+=\S+\s+)*", "", self.rest)

    def pairs(self) -> dict[str, str]:
        """The `NAME=value` pairs of an ARG, ENV or LABEL."""
        return dict(word.partition("=")[::2] for word in shlex.split(self.rest))


class Stage(NamedTuple):
    """One stage: what it begins with, its name, what it does."""

    base: str
    name: str
    instructions: list[Instruction]

    def last(self, keyword: str) -> str:
        """The arguments of the last instruction of a kind."""
        return [each.rest for each in self.instructions if each.keyword == keyword][-1]

    def exec_form(self, keyword: str) -> list[str]:
        """The words of an instruction that is a JSON list; a shell would take the signals."""
        words: list[str] = json.loads(self.last(keyword))
        return words


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            yield Instruction(keyword, rest.strip())


def stages(path: Path = DOCKERFILE) -> list[Stage]:
    """Give the stages in order; the last one is the image."""
    found: list[Stage] = []
    for each in _instructions(path.read_text(encoding="utf-8")):
        if each.keyword == "FROM":
            base, _, name = each.rest.partition(" AS ")
            found.append(Stage(base, name, []))
        else:
            found[-1].instructions.append(each)
    return found


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of `${NAME}`, as the builder does outside of RUN."""
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)


def sent(folder: Path = ROOT) -> list[Path]:
    """Give the files that `.dockerignore` lets through: the last pattern that fits decides."""
    patterns = [
        (line.lstrip("!"), line.startswith("!"))
        for line in (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    hidden = {".git", ".venv", ".venv-examples", ".cache"}  # large, and left out by `*`
    found = []
    for top in folder.iterdir():
        if top.name in hidden:
            continue
        for path in [top] if top.is_file() else (p for p in top.rglob("*") if p.is_file()):
            name = path.relative_to(folder)
            kept = True
            for pattern, allows in patterns:
                if _fits(PurePosixPath(name), pattern):
                    kept = allows
            if kept:
                found.append(name)
    return sorted(found)


def _fits(path: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern names a file or a folder above it; `*` stays within a name."""
    wanted = pattern.split("/")
    for depth in range(1, len(path.parts) + 1):
        parts = path.parts[:depth]
        if wanted[0] == "**":
            if fnmatchcase(parts[-1], wanted[-1]):
                return True
        elif len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
            return True
    return False
