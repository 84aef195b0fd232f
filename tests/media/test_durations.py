"""The length of audio is what is in the file, not what its header claims."""

from __future__ import annotations

import random
from io import BytesIO

import pytest

from labelflow.media import Media, probe_file
from labelflow.storage.ranged_file import RangedFile
from tests.media.files import amr, mp3_frame, mp4, opus, wav, webm


def probe(content: bytes, content_type: str | None = None) -> Media:
    return probe_file(BytesIO(content), content_type)


def seconds_of(content: bytes, content_type: str | None = None) -> float | None:
    return probe(content, content_type).seconds


@pytest.mark.parametrize("declared", [0, 0x7FFFFFFF, 0xFFFFFFFF, 60 * 60 * 8000])
def test_wav_that_claims_more_than_it_has(declared: int) -> None:
    assert seconds_of(wav(60, declared=declared)) == pytest.approx(60)


def test_wav_that_claims_less_than_it_has() -> None:
    assert seconds_of(wav(2824, declared=144 * 8000)) == pytest.approx(2824)
    with_tags = wav(60) + b"LIST" + (4000).to_bytes(4, "little") + bytes(4000)
    assert seconds_of(with_tags) == pytest.approx(60)
    assert seconds_of(wav(60) + bytes(100)) == pytest.approx(60), "padding"


@pytest.mark.parametrize(("code", "bits"), [(1, 16), (3, 32), (6, 8), (7, 8)])
def test_wav_without_fact_chunk(code: int, bits: int) -> None:
    assert seconds_of(wav(30, code=code, bits=bits)) == pytest.approx(30)


def test_constant_bitrate_mp3_is_measured_by_a_few_samples() -> None:
    content = mp3_frame(9) * 80_000
    reads = 0

    def read_range(start: int, stop: int) -> bytes:
        nonlocal reads
        reads += stop - start
        return content[start:stop]

    media = probe_file(RangedFile(read_range, len(content), 64 * 1024))  # type: ignore[arg-type]
    assert media.seconds == pytest.approx(80_000 * 1152 / 44100, rel=0.001)
    assert reads < 2_000_000


def test_variable_bitrate_mp3_without_xing_header_is_within_two_percent() -> None:
    rng = random.Random(5)
    frames = [mp3_frame(14)] * 400 + [mp3_frame(rng.choice((1, 3, 5, 9))) for _ in range(30_000)]
    assert seconds_of(b"".join(frames)) == pytest.approx(len(frames) * 1152 / 44100, rel=0.02)


def test_mp3_whose_rate_varies_too_much_is_not_measured() -> None:
    content = mp3_frame(14) * 8000 + mp3_frame(1) * 8000 + mp3_frame(9) * 9000
    media = probe(content)
    duration, actual = media.duration, 25_000 * 1152 / 44100
    assert duration
    assert abs(duration.seconds - actual) <= duration.error
    assert media.seconds is None or media.seconds == pytest.approx(actual, rel=0.02)


def test_xing_header_is_used_only_if_it_matches_the_file() -> None:
    frames = mp3_frame(9) * 1000
    for claimed, expected in ((1000, 1000), (60_000, 1000)):
        first = bytearray(mp3_frame(9))
        size = claimed * len(mp3_frame(9))
        first[36:52] = b"Xing\0\0\0\3" + claimed.to_bytes(4, "big") + size.to_bytes(4, "big")
        assert seconds_of(bytes(first) + frames) == pytest.approx(expected * 1152 / 44100, rel=0.01)


def test_mp3_of_8_kilohertz_and_behind_junk() -> None:
    content = mp3_frame(3, 2, 0xE3) * 500
    assert seconds_of(content) == pytest.approx(500 * 0.072)
    assert seconds_of(b"\x91" * 700 + content, "audio/mpeg") == pytest.approx(500 * 0.072)


def test_opus_is_measured_by_its_last_page() -> None:
    assert seconds_of(opus(40 * 60)) == pytest.approx(40 * 60)


def test_chained_ogg_is_not_measured() -> None:
    media = probe(opus(600) + opus(600, serial=8))
    assert media.kind == "audio"
    assert media.duration is None


def test_amr_with_pauses() -> None:
    assert seconds_of(amr(120)) == pytest.approx(120)
    assert seconds_of(amr(40 * 60)) == pytest.approx(40 * 60, rel=0.02)


def test_webm_of_a_browser_has_no_duration_in_its_header() -> None:
    assert seconds_of(webm(1900, 2)) == pytest.approx(1900, abs=1)


def test_mp4_that_is_cut_off_is_not_measured() -> None:
    content = mp4(3600, b"soun", media_bytes=50_000)
    assert seconds_of(content) == 3600
    assert seconds_of(content[:20_000]) is None
