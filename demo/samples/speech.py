"""Speech synthesis with the espeak-ng library, which the package espeakng-loader contains.

The library keeps state between sentences, so its output depends on earlier sentences. It therefore runs in a separate
process: this file is also the script of that process, and needs only that package.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

SYNCHRONOUS = 2
DO_NOT_EXIT = 0x8000
UTF8 = 1
PACE, PITCH = 1, 3
TIMEOUT = 120.0  # seconds

UNAVAILABLE = (
    "The sample recordings need speech synthesis, which is not available: {reason}. Install it with "
    "`pip install espeakng-loader` (wheels exist for Linux, macOS and Windows on common processors)."
)


class SpeechUnavailable(RuntimeError):
    """The speech library is not installed, or does not run on this platform."""


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """A text to speak and its WAV file: `pace` in words per minute, `pitch` 0–100."""

    path: str
    voice: str
    pace: int
    pitch: int
    text: str


def speak(lines: Sequence[SpokenLine]) -> None:
    """Write one WAV file per line (16 bit, mono). The same lines give the same bytes.

    Raises `SpeechUnavailable` if the library is missing.
    """
    script = json.dumps([asdict(line) for line in lines])
    command = [sys.executable, "-P", __file__]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise SpeechUnavailable(done.stderr.strip())


def _load() -> tuple[ctypes.CDLL, int]:
    """The initialized library, and its sample rate (samples per second)."""
    try:
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path()
    except (ImportError, OSError, RuntimeError) as error:
        sys.exit(UNAVAILABLE.format(reason=error))
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data_path.encode(), DO_NOT_EXIT)
    if rate <= 0:
        sys.exit(UNAVAILABLE.format(reason="the library does not start"))
    return library, rate


def _say(library: ctypes.CDLL, line: SpokenLine) -> None:
    if library.espeak_SetVoiceByName(line.voice.encode()) != 0:
        sys.exit(UNAVAILABLE.format(reason=f"it has no voice {line.voice}"))
    library.espeak_SetParameter(PACE, line.pace, 0)
    library.espeak_SetParameter(PITCH, line.pitch, 0)
    text = line.text.encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()


def _main() -> None:
    library, rate = _load()
    samples = bytearray()
    callback = _collector(samples)
    library.espeak_SetSynthCallback(callback)
    for line in (SpokenLine(**line) for line in json.load(sys.stdin)):
        samples.clear()
        _say(library, line)
        with wave.open(line.path, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples)


def _collector(samples: bytearray) -> Callable[..., int]:
    """A C callback that appends the spoken samples to `samples`."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

    def collect(spoken: int | None, count: int, _events: int | None) -> int:
        if spoken and count > 0:
            samples.extend(ctypes.string_at(spoken, count * 2))
        return 0

    return kind(collect)


if __name__ == "__main__":
    _main()
