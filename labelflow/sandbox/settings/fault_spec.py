"""The grammar of `--faults`: `seed=7, reset=2%, slow=5%:0.5s, lag=3s`."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from labelflow.sandbox.faults.requests.kinds import REQUEST_FAULT_KINDS
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
    """A fault to inject. rate: from 0 to 1. seconds: its time, 0 if it has none."""

    kind: FaultKind
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """The faults to inject. The same seed gives the same faults."""

    settings: tuple[FaultSetting, ...]
    seed: int = 0

    def for_target(self, target: FaultTarget) -> tuple[FaultSetting, ...]:
        """Return the faults that affect a target."""
        return tuple(setting for setting in self.settings if setting.kind.target is target)


def parse(text: str) -> FaultSpec:
    """Parse a specification. Raises ValueError that names the invalid entry and the correct form.

    >>> parse("seed=7, slow=5%:0.5s").settings[0].rate
    0.05
    """
    entries = _split(text)
    seed = _parse_seed(entries.pop(SEED, f"{SEED}=0"))
    if not entries:
        raise ValueError(f"there is no fault; use a list like {EXAMPLE!r}")
    spec = FaultSpec(tuple(_parse_setting(name, entry) for name, entry in entries.items()), seed)
    for target in FaultTarget:
        _check_total_rate(spec, target)
    return spec


def help_text() -> str:
    """Return the grammar and the list of faults for `--help`."""
    lines = [
        f'SPEC is a list like "{EXAMPLE}": a rate in percent, and for some faults a time in',
        "seconds. The seed (default: 0) selects the affected requests, tasks and callbacks. Faults, with their default",
        "times (SECONDS):",
    ]
    for target in FaultTarget:
        lines.append(f"\n{target}:")
        lines += [f"  {kind.example:26}{kind.description}" for kind in KINDS_BY_NAME.values() if kind.target is target]
    return "\n".join(lines)


def _split(text: str) -> dict[str, str]:
    """Return the entries by name."""
    entries: dict[str, str] = {}
    for entry in (entry.strip() for entry in text.split(",")):
        name = entry.partition("=")[0].strip()
        if name in entries:
            raise ValueError(f"{entry!r}: {name} is given twice; give it once")
        entries[name] = entry
    if entries.keys() == {""}:
        entries.clear()
    return entries


def _value_of(entry: str) -> str:
    return entry.partition("=")[2].strip()


def _parse_seed(entry: str) -> int:
    value = _value_of(entry)
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{entry!r}: the seed must be a whole number, like seed=7")
    return int(value)


def _parse_setting(name: str, entry: str) -> FaultSetting:
    kind = KINDS_BY_NAME.get(name)
    if kind is None:
        raise ValueError(_unknown_fault_message(name, entry))
    setting = _parse_rated(kind, entry) if kind.has_rate else _parse_constant(kind, entry)
    if setting.seconds > MAX_SECONDS:
        raise ValueError(f"{entry!r}: the maximum is {MAX_SECONDS:.0f}s; write it like {kind.example}")
    return setting


def _parse_rated(kind: FaultKind, entry: str) -> FaultSetting:
    match = RATE.fullmatch(_value_of(entry))
    if match is None:
        raise ValueError(f"{entry!r}: write it like {kind.example}")
    percent, seconds = match.groups()
    if float(percent) > 100:
        raise ValueError(f"{entry!r}: the maximum is 100%; write it like {kind.example}")
    if seconds and kind.seconds is None:
        raise ValueError(f"{entry!r}: {kind.name} has no time; write {kind.name}={percent}%")
    return FaultSetting(kind, float(percent) / 100, float(seconds or kind.seconds or 0))


def _parse_constant(kind: FaultKind, entry: str) -> FaultSetting:
    match = SECONDS.fullmatch(_value_of(entry))
    if match is None:
        raise ValueError(f"{entry!r}: {kind.name} has a time and no rate; write it like {kind.example}")
    return FaultSetting(kind, 0, float(match[1]))


def _unknown_fault_message(name: str, entry: str) -> str:
    if not name:
        return f"{entry!r}: the name of the fault is missing; use a list like {EXAMPLE!r}"
    close = difflib.get_close_matches(name, [SEED, *KINDS_BY_NAME], n=1)
    suggestion = f"did you mean {close[0]}? " if close else ""
    return f"{entry!r}: unknown fault {name!r}; {suggestion}the faults are {', '.join(KINDS_BY_NAME)}"


def _check_total_rate(spec: FaultSpec, target: FaultTarget) -> None:
    settings = spec.for_target(target)
    total_rate = math.fsum(setting.rate for setting in settings)
    if total_rate > 1 + 1e-9:
        names = ", ".join(setting.kind.name for setting in settings)
        raise ValueError(f"{names}: the rates for {target} add up to {total_rate * 100:.6g}%; the maximum is 100%")
