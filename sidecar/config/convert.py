"""A plain tree as settings: every fault is noted, not just the first.

`msgspec.convert` stops at the first fault. So the sections and lists are walked here, and
msgspec converts only what stands in them.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError
from msgspec.structs import FieldInfo

from sidecar.config.faults import FAULTY, Faults
from sidecar.config.interpolate import Substituted
from sidecar.config.kinds import extra, in_words, is_section, members, unwrap, words, written
from sidecar.config.parse import scalar
from sidecar.config.tree import map_scalars
from sidecar.config.values import Address, ByteSize, Duration, Secret
from sidecar.errors import did_you_mean


class Clash(NamedTuple):
    """Settings that are fine alone and wrong together."""

    at: str
    """Where, from the section on: `.windows[1]`."""
    message: str
    mend: str


Check = Callable[..., Iterable[Clash]]
"""A rule of one section. Its parameters name the settings that it looks at, and it is asked
only when all of these are sound."""


class Converter:
    """Turns plain trees into settings and notes what is wrong with them."""

    def __init__(
        self, faults: Faults, checks: Mapping[type[Struct], Sequence[Check]], folder: Path
    ) -> None:
        """Keep what all sections need.

        Args:
            faults: Takes what is wrong.
            checks: Rules by type of section.
            folder: Where relative paths start.
        """
        self._faults = faults
        self._checks = checks
        self._folder = folder

    def convert(self, raw: object, kind: Any, path: str = "$", default: object = None) -> Any:
        """Give the value of one setting, or `FAULTY` after its faults were noted.

        Args:
            raw: What stands in the config.
            kind: Type of the setting.
            path: Where it stands.
            default: Its default, an example for who must mend it.
        """
        if raw is FAULTY:
            return FAULTY
        if raw is None and is_section(kind):
            return self._section({}, kind, path)  # `monitors:` with nothing below it
        for member in members(kind):
            bare, _ = unwrap(member)
            if is_section(bare) and isinstance(raw, dict):
                return self._section(raw, bare, path)
            if get_origin(bare) is list and isinstance(raw, list):
                return self._list(raw, member, path)
            if get_origin(bare) is dict and isinstance(raw, dict):
                return map_scalars(raw, _read_substituted, path)
        return self._scalar(raw, kind, path, _mend(kind, default, raw))

    def _section(self, raw: dict[str, object], section: type[Struct], path: str) -> Any:
        fields = msgspec.structs.fields(section)
        self._refuse_unknown(raw, [field.encode_name for field in fields], path)
        values = {field.name: self._field(raw, field, path) for field in fields}
        sound = {name: value for name, value in values.items() if value is not FAULTY}
        self._check(section, sound, path)
        return section(**sound) if len(sound) == len(values) else FAULTY

    def _refuse_unknown(self, raw: dict[str, object], known: list[str], path: str) -> None:
        for key in raw:
            if key not in known:
                mend = did_you_mean(key, known, f"known: {', '.join(known)}")
                self._faults.add(f"{path}.{key}", "unknown key", mend)

    def _field(self, raw: dict[str, object], field: FieldInfo, path: str) -> Any:
        path, default = f"{path}.{field.encode_name}", default_of(field)
        if field.encode_name in raw:
            return self.convert(raw[field.encode_name], field.type, path, default)
        if default is NODEFAULT:
            self._faults.add(path, "missing", f"add it: {in_words(field.type)}")
            return FAULTY
        return default

    def _check(self, section: type[Struct], sound: dict[str, Any], path: str) -> None:
        for check in self._checks.get(section, ()):
            names = inspect.signature(check).parameters.keys()
            if names <= sound.keys():
                for clash in check(**{name: sound[name] for name in names}):
                    self._faults.add(path + clash.at, clash.message, clash.mend)

    def _list(self, raw: list[object], kind: Any, path: str) -> Any:
        bare, limits = unwrap(kind)
        (item,) = get_args(bare)
        values = [
            self.convert(value, item, f"{path}[{index}]") for index, value in enumerate(raw)
        ]
        for limit in limits:
            length: Any = Annotated[list[Any], limit]
            values.append(self._scalar(raw, length, path, _mend(kind, None)))
        return FAULTY if FAULTY in values else values[: len(raw)]

    def _scalar(self, raw: object, kind: Any, path: str, mend: str) -> Any:
        readings = [str(raw), scalar(raw)] if isinstance(raw, Substituted) else [raw]
        messages = []
        for reading in readings:
            try:
                value = msgspec.convert(reading, kind, dec_hook=self._decode)
                return _positive(value) if extra(kind, "positive") else value
            except ValidationError as error:
                messages.append(str(error))
        self._faults.add(path, messages[0], mend)
        return FAULTY

    def _decode(self, kind: Any, raw: object) -> object:
        """Read a type that msgspec does not know; it wraps the ValueError."""
        if kind is Path:
            if not raw or not isinstance(raw, str):
                raise ValueError(f"Expected a path, got `{raw}`")
            return self._folder / raw
        if kind is Secret:
            return Secret.parse(raw).within(self._folder)
        value: object = kind.parse(raw)
        return value


def default_of(field: FieldInfo) -> Any:
    """Give the default of a field, `NODEFAULT` for one that must be given."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default


def _positive(value: object) -> object:
    if value in (Duration(0), ByteSize(0)):
        raise ValidationError("Expected more than 0")
    return value


def _mend(kind: Any, default: object, raw: object = None) -> str:
    advice = extra(kind, "mend") or f"write {in_words(kind)}"
    near = did_you_mean(raw, words(kind)) if isinstance(raw, str) else ""
    if near and not extra(kind, "mend"):
        advice = f"{near} {advice[0].upper()}{advice[1:]}"
    shows_form = isinstance(default, Duration | ByteSize | Address)
    return f"{advice}, for example `{written(default)}`" if shows_form else advice


def _read_substituted(_: str, value: object) -> object:
    """Read a `${VAR}` that stands where anything may as if its text stood in the file."""
    return scalar(value) if isinstance(value, Substituted) else value
