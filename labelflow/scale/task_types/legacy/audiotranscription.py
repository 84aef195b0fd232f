"""`audiotranscription`: the transcript of a recording. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel

from labelflow.media import Media
from labelflow.scale.task_types.shared.fake_text import fake_words
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.responses import TaskResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType

HIGH_CONFIDENCE, LOW_CONFIDENCE = 0.9, 0.3  # the only two values in the API
WORDS_PER_SECOND = 2.5
FALLBACK_SECONDS = 4.0  # length of a recording that the sandbox could not measure


class AudioTranscriptionParams(AttachmentParams):
    """English, up to 30 minutes; `phrases` are words that are likely to occur."""

    required = (("attachment",),)
    instruction: str = "Please transcribe the attached audio file."
    attachment_type: Literal["audio"] = "audio"
    verbatim: bool = False
    phrases: list[str] | None = None


class Word(BaseModel):
    """A word of the transcript: start and end in seconds from the beginning; confidence 0.9 or 0.3."""

    word: str
    start: float
    end: float
    confidence: float


class AudioTranscriptionResponse(TaskResponse):
    """The transcript, the length of the recording in seconds, and the time of each word."""

    transcript: str
    duration: float
    alignment: list[Word]


def _columns(params: Params) -> Columns:
    times = [(name, pa.float64()) for name in ("start", "end", "confidence")]
    return [
        pa.field("transcript", pa.string()),
        pa.field("duration", pa.float64()),
        pa.field("alignment", pa.list_(pa.struct([("word", pa.string()), *times]))),
    ]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    seconds = (media[0].seconds if media else None) or FALLBACK_SECONDS
    words = fake_words(max(1, round(seconds * WORDS_PER_SECOND)), params.get("phrases") or [], rng)
    slot = seconds / len(words)
    alignment: list[dict[str, Any]] = [
        {
            "word": word,
            "start": round(i * slot, 3),
            "end": round((i + rng.uniform(0.6, 1.0)) * slot, 3),
            "confidence": HIGH_CONFIDENCE if rng.random() < 0.85 else LOW_CONFIDENCE,
        }
        for i, word in enumerate(words)
    ]
    alignment[-1]["end"] = round(seconds, 3)
    transcript = " ".join(words)
    return {
        "transcript": f"{transcript[:1].upper()}{transcript[1:]}.",
        "duration": round(seconds, 3),
        "alignment": alignment,
    }


TYPE = TaskType("audiotranscription", AudioTranscriptionParams, AudioTranscriptionResponse, _columns, _fake_response)
