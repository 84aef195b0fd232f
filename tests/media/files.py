"""Small files of many formats, written byte by byte."""

from __future__ import annotations

import struct
from io import BytesIO

from PIL import Image


def wav(seconds: float, *, declared: int | None = None, code: int = 1, rate: int = 8000, bits: int = 8) -> bytes:
    """A silent mono WAV. declared: the length of the data that its header claims."""
    data = bytes(int(seconds * rate * bits // 8))
    size = len(data) if declared is None else declared
    form = struct.pack("<HHIIHH", code, 1, rate, rate * bits // 8, bits // 8, bits)
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + data


def mp3_frame(bitrate_index: int, rate_index: int = 0, version: int = 0xFB) -> bytes:
    """A frame of layer 3. version: 0xFB for MPEG 1, 0xE3 for 2.5 (8 kHz with rate_index 2)."""
    kbit = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[bitrate_index - 1]
    if version == 0xE3:
        kbit = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[bitrate_index - 1]
        size = 72 * kbit * 1000 // (11025, 12000, 8000)[rate_index]
    else:
        size = 144 * kbit * 1000 // (44100, 48000, 32000)[rate_index]
    return bytes((0xFF, version, bitrate_index << 4 | rate_index << 2, 0xC4)).ljust(size, b"\0")


def ogg_page(flags: int, position: int, content: bytes, serial: int = 7) -> bytes:
    """A page of an Ogg stream without a valid checksum."""
    lacing = bytes([255] * (len(content) // 255) + [len(content) % 255])
    head = b"OggS\0" + struct.pack("<BQIII", flags, position, serial, 0, 0) + bytes([len(lacing)])
    return head + lacing + content


def opus(seconds: int, serial: int = 7) -> bytes:
    """An Ogg Opus file with a page per second."""
    head = b"OpusHead\1\1" + struct.pack("<HIhB", 312, 48_000, 0, 0)
    pages = [ogg_page(2, 0, head, serial), ogg_page(0, 0, b"OpusTags" + bytes(8), serial)]
    pages += [ogg_page(0, 312 + 48_000 * second, b"\x78" * 400, serial) for second in range(1, seconds + 1)]
    return b"".join(pages)


def ebml(name: int, content: bytes, *, unknown_size: bool = False) -> bytes:
    """An EBML element."""
    size = b"\x01" + b"\xff" * 7 if unknown_size else struct.pack(">Q", 1 << 56 | len(content))
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def webm(seconds: int, track_type: int) -> bytes:
    """A WebM as a browser records it: no duration, unknown sizes. track_type: 1 for video, 2 for audio."""
    track = ebml(0xAE, ebml(0xD7, b"\1") + ebml(0x83, bytes([track_type])))
    clusters = [
        ebml(0x1F43B675, ebml(0xE7, struct.pack(">I", second * 1000)) + ebml(0xA3, b"\x81\0\x14\x80" + bytes(300)))
        for second in range(seconds)
    ]
    info = ebml(0x1549A966, ebml(0x2AD7B1, struct.pack(">I", 1_000_000)))
    segment = ebml(0x18538067, info + ebml(0x1654AE6B, track) + b"".join(clusters), unknown_size=True)
    return ebml(0x1A45DFA3, ebml(0x4282, b"webm")) + segment


def box(name: bytes, content: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I", 8 + len(content)) + name + content


def mp4(seconds: int, handler: bytes, brand: bytes = b"isom", media_bytes: int = 1000) -> bytes:
    """An MP4 with one track, `soun` or `vide`."""
    size = struct.pack(">II", 640 << 16, 480 << 16) if handler == b"vide" else bytes(8)
    unity = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    display = bytes(12) + struct.pack(">I", 1) + bytes(24) + unity + size
    header = bytes(12) + struct.pack(">II", 1000, seconds * 1000) + bytes(4)
    media = box(b"mdia", box(b"mdhd", header) + box(b"hdlr", bytes(8) + handler + bytes(13)))
    moov = box(b"moov", box(b"trak", box(b"tkhd", display) + media))
    return box(b"ftyp", brand + bytes(4)) + moov + box(b"mdat", bytes(media_bytes))


def amr(seconds: int) -> bytes:
    """An AMR recording with speech and pauses."""
    speech, pause = b"\x3c" + bytes(31), b"\x44" + bytes(5)
    return b"#!AMR\n" + (speech * 25 + pause * 25) * seconds


def jpeg(width: int, height: int, orientation: int | None = None) -> bytes:
    """A JPEG of noise, so that it has many bytes. orientation: the EXIF tag."""
    image = Image.effect_noise((width, height), 90)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    content = BytesIO()
    image.save(content, "JPEG", quality=95, exif=exif)
    return content.getvalue()
