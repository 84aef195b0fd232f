"""Files are judged by their content, not by their declared type."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from labelflow.media import identify, probe_file
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size
from tests.media.files import jpeg, mp4, opus, webm


def test_containers_are_audio_or_video_by_their_tracks() -> None:
    files = {
        "audio": [webm(3, 2), mp4(3, b"soun"), mp4(3, b"soun", b"M4A "), opus(3)],
        "video": [webm(3, 1), mp4(3, b"vide"), mp4(3, b"vide", b"qt  ")],
    }
    for kind, contents in files.items():
        for content in contents:
            assert probe_file(BytesIO(content), "video/ogg").kind == kind


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
        (b"MM\0+\0\x08\0\0", "BigTIFF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b"<Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"message": "Forbidden"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "Git LFS pointer"),
        (bytes(128) + b"DICM\2\0", "DICOM"),
        (bytes(4096), "zeros"),
        (b"\xff\xfe<\0h\0t\0m\0l\0", None),
        ("Datei nicht gefunden: ü".encode(), "text"),
    ],
)
def test_content_is_identified(head: bytes, name: str | None) -> None:
    known = identify(head)
    assert (known.name if known else None) == name


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_image_size_is_what_people_see(orientation: int) -> None:
    media = probe_file(BytesIO(jpeg(300, 200, orientation)))
    expected = (200, 300) if orientation in (6, 8) else (300, 200)
    assert (media.width, media.height) == expected
    assert image_size([media]) == expected, "the sandbox draws inside it"


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF"])
def test_rotation_of_other_formats(format_name: str) -> None:
    content, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (30, 20)).save(content, format_name, exif=exif)
    media = probe_file(content)
    assert (media.width, media.height) == (20, 30)


@pytest.mark.parametrize("side", [200, 900])
def test_jpeg_that_is_cut_in_half_is_noticed(side: int) -> None:
    content = jpeg(side, side)
    assert not probe_file(BytesIO(content)).is_cut_off
    assert probe_file(BytesIO(content[: len(content) // 2])).is_cut_off


@pytest.mark.parametrize("trailing", [b"\0" * 100, b"\0" * 200_000, mp4(3, b"vide", media_bytes=300_000)])
def test_jpeg_with_trailing_bytes_is_complete(trailing: bytes) -> None:
    assert not probe_file(BytesIO(jpeg(900, 900) + trailing)).is_cut_off
