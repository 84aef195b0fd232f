"""Formats by their first bytes, and kinds by their declared type."""

from __future__ import annotations

import re

from labelflow.media.containers import adts, mpeg, ogg
from labelflow.media.frames import starts_frames
from labelflow.media.media import Format, Kind

JPEG = Format("JPEG", "image", "image/jpeg", "a JPEG image")
WAV = Format("WAV", "audio", "audio/wav", "a WAV recording")
MP3 = Format("MP3", "audio", "audio/mpeg", "an MP3 recording")
ADTS = Format("AAC", "audio", "audio/aac", "an AAC recording")
FLAC = Format("FLAC", "audio", "audio/flac", "a FLAC recording")
AMR = Format("AMR", "audio", "audio/amr", "an AMR recording")
OGG = Format("Ogg", "unknown", "application/ogg", "an Ogg file")
MP4 = Format("MP4", "unknown", "application/mp4", "an MP4 file")
WEBM = Format("WebM", "unknown", "application/webm", "a WebM or Matroska file")
ASF = Format("ASF", "unknown", "application/vnd.ms-asf", "a Windows Media file")
ZEROS = Format("zeros", "other", "application/octet-stream", "a file of zero bytes")
SVG = Format("SVG", "image", "image/svg+xml", "an SVG image")
XML = Format("XML", "other", "application/xml", "XML")
DASH = Format("DASH", "video", "application/dash+xml", "a DASH playlist")
HTML = Format("HTML", "website", "text/html", "a web page")
JSON = Format("JSON", "other", "application/json", "JSON")
TEXT = Format("text", "text", "text/plain", "plain text")

_SIGNATURES: list[tuple[int, bytes, Format]] = [  # the first match counts
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", Format("PNG", "image", "image/png", "a PNG image")),
    (0, b"GIF8", Format("GIF", "image", "image/gif", "a GIF image")),
    (0, b"II*\0", Format("TIFF", "image", "image/tiff", "a TIFF image")),
    (0, b"MM\0*", Format("TIFF", "image", "image/tiff", "a TIFF image")),
    (0, b"II+\0", Format("BigTIFF", "image", "image/tiff", "a BigTIFF image")),
    (0, b"MM\0+", Format("BigTIFF", "image", "image/tiff", "a BigTIFF image")),
    (8, b"WEBP", Format("WebP", "image", "image/webp", "a WebP image")),
    (0, b"\xff\x0a", Format("JPEG XL", "image", "image/jxl", "a JPEG XL image")),
    (0, b"\0\0\0\x0cJXL ", Format("JPEG XL", "image", "image/jxl", "a JPEG XL image")),
    (0, b"\0\0\0\x0cjP  ", Format("JPEG 2000", "image", "image/jp2", "a JPEG 2000 image")),
    (0, b"\xff\x4f\xff\x51", Format("JPEG 2000", "image", "image/jp2", "a JPEG 2000 image")),
    (0, b"8BPS", Format("PSD", "image", "image/vnd.adobe.photoshop", "a Photoshop file")),
    (0, b"\0\0\1\0", Format("ICO", "image", "image/x-icon", "an icon")),
    (128, b"DICM", Format("DICOM", "image", "application/dicom", "a DICOM file")),
    (8, b"WAVE", WAV),
    (8, b"AVI ", Format("AVI", "video", "video/x-msvideo", "an AVI video")),
    (0, b"fLaC", FLAC),
    (0, b"OggS", OGG),
    (0, b"#!AMR", AMR),
    (0, b"FORM", Format("AIFF", "audio", "audio/aiff", "an AIFF recording")),
    (0, b"caff", Format("CAF", "audio", "audio/x-caf", "a CAF recording")),
    (0, b".snd", Format("AU", "audio", "audio/basic", "an AU recording")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ASF),
    (0, b"\x1aE\xdf\xa3", WEBM),
    (0, b"FLV\1", Format("FLV", "video", "video/x-flv", "a Flash video")),
    (0, b"\0\0\1\xba", Format("MPEG-PS", "video", "video/mpeg", "an MPEG video")),
    (0, b"#EXTM3U", Format("HLS", "video", "application/vnd.apple.mpegurl", "an HLS playlist")),
    (0, b"%PDF-", Format("PDF", "pdf", "application/pdf", "a PDF")),
    (0, b"version https://git-lfs", Format("Git LFS pointer", "other", "text/plain", "a Git LFS pointer")),
    (0, b"PK\3\4", Format("ZIP", "other", "application/zip", "a ZIP archive")),
    (0, b"\x1f\x8b", Format("gzip", "other", "application/gzip", "a gzip file")),
]
_AVIF = Format("AVIF", "image", "image/avif", "an AVIF image")
_HEIC = Format("HEIC", "image", "image/heic", "a HEIC image")
_BMP = Format("BMP", "image", "image/bmp", "a BMP image")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_M4A = Format("MP4", "audio", "audio/mp4", "an MP4 recording")
_MPEG_TS = Format("MPEG-TS", "video", "video/mp2t", "an MPEG video")
_TS_PACKET = 188  # bytes
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_TEXT_SAMPLE = 512  # bytes
_JSON_START = re.compile(rb'\{\s*("|\})|\[\s*([\[{"\]\d-]|true|false|null)')
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def identify(head: bytes) -> Format | None:
    """Return the format of a file by its first bytes, None if it is not known. 4 KiB are enough for most.

    >>> identify(b"%PDF-1.7").name
    'PDF'
    """
    for offset, signature, known in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return known
    if head[4:8] == b"ftyp":
        return _by_brand(head[8:12], head[16:32])
    if head.startswith(b"ID3"):
        return ADTS if _starts_with_adts(head) else MP3
    if _is_bmp(head):
        return _BMP
    if head[:1] == b"\x47" == head[_TS_PACKET : _TS_PACKET + 1]:
        return _MPEG_TS
    return _by_frames(head) or _by_text(head)


def contained_kind(known: Format, head: bytes) -> Kind:
    """Return the kind of a file whose container may have audio or video, by its first bytes, or `unknown`."""
    if known is OGG:
        return ogg.kind(head)
    if known is ASF:
        return "video" if _ASF_VIDEO in head else "audio"
    return known.kind


def kind_of_content_type(content_type: str | None) -> Kind:
    """Return the kind of a `Content-Type` header; `unknown` if it is missing or has no kind.

    >>> kind_of_content_type("image/png")
    'image'
    """
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml"):
        return "website"
    if media_type == "application/pdf":
        return "pdf"
    family = media_type.split("/")[0]
    return family if family in ("image", "audio", "video", "text") else "unknown"  # type: ignore[return-value]


def _by_brand(brand: bytes, compatible: bytes) -> Format:
    if brand in (b"avif", b"avis") or (brand == b"mif1" and b"avif" in compatible):
        return _AVIF
    if brand in _HEIF_BRANDS:
        return _HEIC
    return _M4A if brand in (b"M4A ", b"M4B ") else MP4


def _is_bmp(head: bytes) -> bool:
    """Two letters are too few to tell a bitmap from text: its header size must be plausible, too."""
    return head[:2] == b"BM" and (len(head) < 18 or int.from_bytes(head[14:18], "little") in range(12, 257))


def _starts_with_adts(head: bytes) -> bool:
    position = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    return adts.parse_frame(head, position) is not None


def _by_frames(head: bytes) -> Format | None:
    """A recording without a header: frames from the start."""
    if starts_frames(head, 0, adts.parse_frame):
        return ADTS
    return MP3 if starts_frames(head, 0, mpeg.parse_frame) else None


def _by_text(head: bytes) -> Format | None:
    if not head.strip(b"\0"):
        return ZEROS if head else None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    start = text[:_TEXT_SAMPLE].lower()
    if start.startswith(_PAGE_STARTS):
        return HTML
    if start.startswith((b"<?xml", b"<svg", b"<error", b"<!--", b"<mpd", b"<!doctype svg")):
        return _by_xml(text[:4096].lower())
    if _JSON_START.match(text):
        return JSON
    return TEXT if _is_text(head[:_TEXT_SAMPLE]) else None


def _by_xml(text: bytes) -> Format:
    if b"<svg" in text:
        return SVG
    if b"<mpd" in text:
        return DASH
    return HTML if b"<html" in text else XML


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character may be cut off at the end
            return False
        text = head[: error.start].decode("utf-8")
    return not _CONTROL.search(text)
