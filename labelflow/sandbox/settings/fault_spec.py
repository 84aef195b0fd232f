"""Which faults are wanted: `seed=7, reset=2%, slow=5%:0.5s, lag=3s`."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from labelflow.sandbox.faults.requests import REQUEST_FAULT_KINDS
from labelflow.sandbox.settings.fault_kinds import FAULT_KINDS, FaultKind, FaultTarget

KINDS_BY_NAME: dict[str, FaultKind] = {kind.name: kind for kind in (*REQUEST_FAULT_KINDS, *FAULT_KINDS)}
SEED = "seed"
EXAMPLE = "seed=7, reset=2%, slow=5%:0.5s, lag=3s"
NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
RATE = re.compile(rf"{NUMBER}%(?::{NUMBER}s)?")
SECONDS = re.compile(rf"{NUMBER}s")
MAX_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class FaultSetting:
    """A fault that is wanted; rate: from 0 to 1; seconds: 0 where it takes no time."""

    kind: FaultKind
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """The faults that are wanted; with the same seed they come the same way."""

    settings: tuple[FaultSetting, ...]
    seed: int = 0

    def for_target(self, target: FaultTarget) -> tuple[FaultSetting, ...]:
        """The faults that meet such things."""
        return tuple(setting for setting in self.settings if setting.kind.target is target)


def parse(text: str) -> FaultSpec:
    """Read a specification. Raises ValueError that names the part that is wrong, and what would be right."""
    parts = _split(text)
    seed = _parse_seed(parts.pop(SEED, f"{SEED}=0"))
    if not parts:
        raise ValueError(f"no fault is named; write such as {EXAMPLE!r}")
    spec = FaultSpec(tuple(_parse_setting(name, part) for name, part in parts.items()), seed)
    for target in FaultTarget:
        _check_total_rate(spec, target)
    return spec


def help_text() -> str:
    """The grammar and all faults, for people."""
    lines = [
        f'SPEC is a list such as "{EXAMPLE}": a rate in percent, and for some faults a time',
        "in seconds. The seed (default: 0) decides which requests, tasks and callbacks are met. The faults, with the",
        "time that each takes where none is given:",
    ]
    for target in FaultTarget:
        lines.append(f"\n{target}:")
        lines += [f"  {kind.example:26}{kind.description}" for kind in KINDS_BY_NAME.values() if kind.target is target]
    return "\n".join(lines)


def _split(text: str) -> dict[str, str]:
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


def _value_of(part: str) -> str:
    return part.partition("=")[2].strip()


def _parse_seed(part: str) -> int:
    value = _value_of(part)
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{part!r}: the seed is a whole number, such as seed=7")
    return int(value)


def _parse_setting(name: str, part: str) -> FaultSetting:
    kind = KINDS_BY_NAME.get(name)
    if kind is None:
        raise ValueError(_unknown_fault_message(name, part))
    setting = _parse_rated(kind, part) if kind.has_rate else _parse_constant(kind, part)
    if setting.seconds > MAX_SECONDS:
        raise ValueError(f"{part!r}: a fault takes {MAX_SECONDS:.0f}s at most; write such as {kind.example}")
    return setting


def _parse_rated(kind: FaultKind, part: str) -> FaultSetting:
    match = RATE.fullmatch(_value_of(part))
    if match is None:
        raise ValueError(f"{part!r}: write such as {kind.example}")
    percent, seconds = match.groups()
    if float(percent) > 100:
        raise ValueError(f"{part!r}: a rate is 100% at most; write such as {kind.example}")
    if seconds and kind.seconds is None:
        raise ValueError(f"{part!r}: {kind.name} takes no time; write {kind.name}={percent}%")
    return FaultSetting(kind, float(percent) / 100, float(seconds or kind.seconds or 0))


def _parse_constant(kind: FaultKind, part: str) -> FaultSetting:
    match = SECONDS.fullmatch(_value_of(part))
    if match is None:
        raise ValueError(f"{part!r}: {kind.name} is a time without a rate; write such as {kind.example}")
    return FaultSetting(kind, 0, float(match[1]))


def _unknown_fault_message(name: str, part: str) -> str:
    if not name:
        return f"{part!r}: a part has no name; write such as {EXAMPLE!r}"
    close = difflib.get_close_matches(name, [SEED, *KINDS_BY_NAME], n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{part!r}: there is no fault {name!r}; {guess}there are {', '.join(KINDS_BY_NAME)}"


def _check_total_rate(spec: FaultSpec, target: FaultTarget) -> None:
    settings = spec.for_target(target)
    total_rate = math.fsum(setting.rate for setting in settings)
    if total_rate > 1 + 1e-9:
        names = ", ".join(setting.kind.name for setting in settings)
        raise ValueError(f"{names}: the rates for {target} add up to {total_rate * 100:.6g}%; make it 100% at most")
