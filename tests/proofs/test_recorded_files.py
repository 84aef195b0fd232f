"""Recordings that ffmpeg and sox make: each is measured within two percent, and judged by its content.

Needs the Debian packages ffmpeg and sox.
"""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

from labelflow.media import probe_file

# 100 seconds: a quiet part, then speech-like noise, so that the frames of a variable bit rate differ.
SOUND = "aevalsrc=if(lt(t\\,40)\\,0.001*sin(880*t)\\,0.6*random(0)*sin(300*t)):d=100:s={rate}"
SECONDS = 100.0


def ffmpeg(*arguments: str, rate: int = 44100) -> bytes:
    """What ffmpeg writes to a pipe: it cannot go back to correct the header."""
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", SOUND.format(rate=rate), *arguments, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def ffmpeg_file(path: Path, *arguments: str, rate: int = 44100) -> bytes:
    """What ffmpeg writes to a file."""
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", SOUND.format(rate=rate), *arguments, str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


PIPED = {
    "wav": ("-f", "wav"),
    "mu-law wav": ("-c:a", "pcm_mulaw", "-f", "wav"),
    "adpcm wav": ("-c:a", "adpcm_ima_wav", "-f", "wav"),
    "float wav": ("-c:a", "pcm_f32le", "-f", "wav"),
    "mp3, constant": ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    "mp3, variable, no Xing header": ("-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0", "-f", "mp3"),
    "opus": ("-c:a", "libopus", "-ar", "48000", "-f", "ogg"),
    "vorbis": ("-c:a", "libvorbis", "-f", "ogg"),
    "webm": ("-c:a", "libopus", "-ar", "48000", "-f", "webm"),
    "aac": ("-c:a", "aac", "-f", "adts"),
    "flac": ("-c:a", "flac", "-f", "flac"),
    "fragmented mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"),
}


def measure(path: Path, content: bytes) -> tuple[str, float | None]:
    path.write_bytes(content)
    with path.open("rb") as file:
        media = probe_file(file)
    return media.kind, media.seconds


@pytest.mark.parametrize("name", PIPED)
@pytest.mark.parametrize("rate", [44100, 8000])
def test_recording_from_a_pipe_is_measured(tmp_path: Path, name: str, rate: int) -> None:
    if rate == 8000 and name in ("opus", "webm"):
        rate = 16000  # resampled to 48 kHz
    kind, seconds = measure(tmp_path / "recording", ffmpeg("-ac", "1", *PIPED[name], rate=rate))
    assert kind == "audio"
    assert seconds is not None, "it could be measured"
    assert math.isclose(seconds, SECONDS, rel_tol=0.02), seconds


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ".ogg", ".opus", ".flac", ".webm", ".aiff", ".wma"])
def test_recording_in_a_file_is_measured(tmp_path: Path, suffix: str) -> None:
    kind, seconds = measure(tmp_path / "x", ffmpeg_file(tmp_path / f"recording{suffix}", "-ac", "1"))
    assert (kind, round(seconds or 0)) == ("audio", round(SECONDS))


@pytest.mark.parametrize("encoding", [("-e", "u-law"), ("-e", "a-law"), ("-b", "8"), ("-b", "24"), ("-e", "ima-adpcm")])
def test_recording_of_sox_is_measured(tmp_path: Path, encoding: tuple[str, str]) -> None:
    target = tmp_path / "sox.wav"
    subprocess.run(
        ["sox", "-n", "-r", "8000", "-c", "1", *encoding, str(target), "synth", "100", "sine", "440"], check=True
    )
    piped = subprocess.run(["sox", str(target), "-t", "wav", "-"], check=True, capture_output=True).stdout
    for content in (target.read_bytes(), piped):
        kind, seconds = measure(tmp_path / "x", content)
        assert kind == "audio"
        assert seconds is not None
        assert math.isclose(seconds, SECONDS, rel_tol=0.02), seconds


def test_header_of_a_recording_that_was_cut_off_is_not_believed(tmp_path: Path) -> None:
    whole = ffmpeg_file(tmp_path / "whole.wav", "-ac", "1")
    kind, seconds = measure(tmp_path / "cut", whole[: len(whole) // 4])
    assert (kind, round(seconds or 0)) == ("audio", round(SECONDS / 4))


def test_video_is_video_and_its_sound_alone_is_audio(tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=d=100:s=64x48:r=5")
    for suffix in (".mp4", ".webm"):
        kind, seconds = measure(tmp_path / "x", ffmpeg_file(tmp_path / f"video{suffix}", *picture, "-shortest"))
        assert kind == "video"
        assert seconds is not None
        assert math.isclose(seconds, SECONDS, rel_tol=0.02)
        kind, _ = measure(tmp_path / "x", ffmpeg_file(tmp_path / f"sound{suffix}", "-vn"))
        assert kind == "audio"
