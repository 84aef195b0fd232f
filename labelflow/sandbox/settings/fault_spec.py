"""Which faults are wanted: `seed=7, reset=2%, slow=5%:0.5s, lag=3s`."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from labelflow.sandbox.faults.requests import REQUEST_KINDS
from labelflow.sandbox.settings.fault_kinds import KINDS, Kind, Target

KNOWN: dict[str, Kind] = {kind.name: kind for kind in (*REQUEST_KINDS, *KINDS)}
SEED = "seed"
EXAMPLE = "seed=7, reset=2%, slow=5%:0.5s, lag=3s"
NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
RATE = re.compile(rf"{NUMBER}%(?::{NUMBER}s)?")
SECONDS = re.compile(rf"{NUMBER}s")
MOST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A fault that is wanted; rate: from 0 to 1; seconds: 0 where it takes no time."""

    kind: Kind
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Spec:
    """The faults that are wanted; with the same seed they come the same way."""

    settings: tuple[Setting, ...]
    seed: int = 0

    def of(self, target: Target) -> tuple[Setting, ...]:
        """The faults that meet such things."""
        return tuple(setting for setting in self.settings if setting.kind.target is target)


def parse(text: str) -> Spec:
    """Read a specification. Raises ValueError that names the part that is wrong, and what would be right."""
    parts = _parts(text)
    seed = _seed(parts.pop(SEED, f"{SEED}=0"))
    if not parts:
        raise ValueError(f"no fault is named; write such as {EXAMPLE!r}")
    spec = Spec(tuple(_setting(name, part) for name, part in parts.items()), seed)
    for target in Target:
        _check_sum(spec, target)
    return spec


def described() -> str:
    """The grammar and all faults, for people."""
    lines = [
        f'SPEC is a list such as "{EXAMPLE}": a rate in percent, and for some faults a time',
        "in seconds. The seed (default: 0) decides which requests, tasks and callbacks are met. The faults, with the",
        "time that each takes where none is given:",
    ]
    for target in Target:
        lines.append(f"\n{target}:")
        lines += [f"  {kind.example:26}{kind.meaning}" for kind in KNOWN.values() if kind.target is target]
    return "\n".join(lines)


def _parts(text: str) -> dict[str, str]:
    """The parts by name."""
    parts: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",")):
        name = part.partition("=")[0].strip()
        if name in parts:
            raise ValueError(f"{part!r}: {name} is given twice; give it once")
        parts[name] = part
    if parts.keys() == {""}:
        parts.clear()
    return parts


def _value(part: str) -> str:
    return part.partition("=")[2].strip()


def _seed(part: str) -> int:
    value = _value(part)
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{part!r}: the seed is a whole number, such as seed=7")
    return int(value)


def _setting(name: str, part: str) -> Setting:
    kind = KNOWN.get(name)
    if kind is None:
        raise ValueError(_unknown(name, part))
    setting = _rated(kind, part) if kind.has_rate else _constant(kind, part)
    if setting.seconds > MOST_SECONDS:
        raise ValueError(f"{part!r}: a fault takes {MOST_SECONDS:.0f}s at most; write such as {kind.example}")
    return setting


def _rated(kind: Kind, part: str) -> Setting:
    match = RATE.fullmatch(_value(part))
    if match is None:
        raise ValueError(f"{part!r}: write such as {kind.example}")
    percent, seconds = match.groups()
    if float(percent) > 100:
        raise ValueError(f"{part!r}: a rate is 100% at most; write such as {kind.example}")
    if seconds and kind.seconds is None:
        raise ValueError(f"{part!r}: {kind.name} takes no time; write {kind.name}={percent}%")
    return Setting(kind, float(percent) / 100, float(seconds or kind.seconds or 0))


def _constant(kind: Kind, part: str) -> Setting:
    match = SECONDS.fullmatch(_value(part))
    if match is None:
        raise ValueError(f"{part!r}: {kind.name} is a time without a rate; write such as {kind.example}")
    return Setting(kind, 0, float(match[1]))


def _unknown(name: str, part: str) -> str:
    if not name:
        return f"{part!r}: a part has no name; write such as {EXAMPLE!r}"
    close = difflib.get_close_matches(name, [SEED, *KNOWN], n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{part!r}: there is no fault {name!r}; {guess}there are {', '.join(KNOWN)}"


def _check_sum(spec: Spec, target: Target) -> None:
    settings = spec.of(target)
    together = math.fsum(setting.rate for setting in settings)
    if together > 1 + 1e-9:
        names = ", ".join(setting.kind.name for setting in settings)
        raise ValueError(f"{names}: the rates for {target} add up to {together * 100:.6g}%; make it 100% at most")
