"""Recordings of phone calls to a shop, and one of 31 minutes of hold music."""

from __future__ import annotations

import csv
import math
import wave
from collections.abc import Iterator
from pathlib import Path

from demo.samples.manifest import BadRow, DataSet, with_bad_rows
from demo.samples.speech import SpokenLine, speak

COLUMNS = ("call_id", "recording", "agent", "language")
AGENTS = ("priya", "tom", "ewa", "jonas")

# voice, words per minute, pitch (0–100), text
# Voices with breath (f2, f3, f5) contain random noise: their bytes differ on every run.
SENTENCES = (
    ("en-us", 165, 50, "Hello, my parcel was due on Friday, and it still has not arrived."),
    ("en-gb-x-rp", 155, 42, "Good morning. I would like to return a pair of shoes, please."),
    ("en-us+f1", 170, 55, "Hi, I ordered a blue lamp, but you sent me a green one."),
    ("en-gb-scotland", 150, 40, "Could you tell me when the wooden table is back in stock?"),
    ("en-us+m3", 160, 45, "I have been charged twice for the same order. Can you check that?"),
    ("en-gb-x-rp+f1", 165, 58, "I just wanted to say thank you. The kettle works perfectly now."),
    ("en-us-nyc", 175, 48, "My order number is four seven one nine. Where is it?"),
    ("en-gb-x-gbcwmd", 160, 50, "The left door of the cupboard has a scratch. What should I do?"),
    ("en-us+f4", 168, 52, "Please cancel my second order. I clicked on the button twice."),
    ("en-gb-x-gbclan", 158, 46, "Do you deliver to Scotland on Saturdays?"),
    ("en-029", 160, 44, "I need a receipt for my tax office. Could you send it by e-mail?"),
    ("en-us+m1", 165, 38, "The instructions are missing from the box, so I cannot build the shelf."),
    ("en-gb-x-rp+f4", 150, 60, "Can I change the delivery address? We are moving house next week."),
    ("en-us+f4", 172, 44, "How do I use my voucher? The website says that it has expired."),
    ("en-gb-scotland+f4", 162, 50, "Your driver was very kind. Please tell him that from me."),
    ("en-us", 150, 35, "I would like to speak to somebody about my refund, please."),
)

ON_HOLD = BadRow(4, "call-000016", "the recording is 31 minutes long, and 30 are allowed")
MISSING = BadRow(9, "call-000017", "the recording does not exist")
EMPTY = BadRow(14, "call-000018", "the recording is a file of 0 bytes")
ON_HOLD_NAME, EMPTY_NAME = "000016.wav", "000018.wav"

DATA_SET = DataSet(rows=len(SENTENCES) + 3, bad_rows=(ON_HOLD, MISSING, EMPTY))

HOLD_SECONDS = 31 * 60
HOLD_RATE = 4000  # samples per second, one byte each
HERTZ = {
    "g": 392.0,
    "a": 440.0,
    "b": 493.9,
    "C": 523.3,
    "D": 587.3,
    "E": 659.3,
    "F": 698.5,
    "G": 784.0,
    "-": 0.0,
}
HOLD_TUNE = "gCECaDFDgbDbCEG-"
HOLD_NOTE_SECONDS = 0.375
SILENCE = 128


def file_names() -> list[str]:
    """Names of the files that `make` writes."""
    return [*(_file_name(number) for number in range(len(SENTENCES))), ON_HOLD_NAME, EMPTY_NAME]


def make(folder: Path) -> None:
    """Write all recordings into the folder. Raises `SpeechUnavailable` if speech synthesis is missing."""
    speak(
        [
            SpokenLine(str(folder / _file_name(number)), voice, pace, pitch, text)
            for number, (voice, pace, pitch, text) in enumerate(SENTENCES)
        ]
    )
    _write_hold_music(folder / ON_HOLD_NAME)
    (folder / EMPTY_NAME).write_bytes(b"")


def write_manifest(path: Path, base_uri: str) -> None:
    """Write the CSV manifest: `call_id`, `recording`, `agent`, `language`; `base_uri` is the folder of the files."""
    good = [_row(number, base_uri) for number in range(len(SENTENCES))]
    bad = [(bad_row, _row(len(SENTENCES) + number, base_uri)) for number, bad_row in enumerate(DATA_SET.bad_rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(with_bad_rows(good, bad))


def _file_name(number: int) -> str:
    return f"{number:06}.wav"


def _row(number: int, base_uri: str) -> tuple[str, str, str, str]:
    recording = f"{base_uri.rstrip('/')}/{_file_name(number)}"
    return f"call-{number:06}", recording, AGENTS[number * 7 % len(AGENTS)], "en"


def _write_hold_music(path: Path) -> None:
    """Write a short tune that repeats for 31 minutes, one repetition at a time."""
    tune = bytes(_tune())
    repetitions, rest = divmod(HOLD_SECONDS * HOLD_RATE, len(tune))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, HOLD_RATE, HOLD_SECONDS * HOLD_RATE, "NONE", ""))
        for _ in range(repetitions):
            file.writeframesraw(tune)
        file.writeframes(tune[:rest])


def _tune() -> Iterator[int]:
    samples = int(HOLD_NOTE_SECONDS * HOLD_RATE)
    for note in HOLD_TUNE:
        for sample in range(samples):
            seconds = sample / HOLD_RATE
            envelope = math.exp(-4 * seconds) * min(1.0, seconds * 100)
            yield SILENCE + round(70 * envelope * math.sin(2 * math.pi * HERTZ[note] * seconds))
