"""Remove the signatures of presigned URLs from everything that is written or shown.

Only complete signatures are removed, only inside of URLs: everything else is what somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from labelflow.lenient_json import dump_json

P = ParamSpec("P")
T = TypeVar("T")


class _Scheme(NamedTuple):
    """A signature scheme. A URL has it if it has all `required` parameters and one of `any_of`."""

    required: frozenset[str]
    any_of: frozenset[str]
    parameters: frozenset[str]


def _scheme(required: str, any_of: str, other: str = "") -> _Scheme:
    groups = [frozenset(names.split()) for names in (required, any_of, other)]
    return _Scheme(groups[0], groups[1], frozenset().union(*groups))


_SCHEMES = (
    _scheme(  # AWS, Signature Version 4
        "x-amz-signature",
        "x-amz-credential x-amz-algorithm x-amz-date x-amz-expires x-amz-signedheaders x-amz-security-token",
        "x-amz-s3session-token",
    ),
    _scheme("signature", "awsaccesskeyid", "expires x-amz-security-token"),  # AWS, Signature Version 2
    _scheme("signature", "key-pair-id", "expires policy hash-algorithm"),  # CloudFront
    _scheme(  # Google Cloud Storage, V4
        "x-goog-signature", "x-goog-credential x-goog-algorithm x-goog-date x-goog-expires x-goog-signedheaders"
    ),
    _scheme("signature", "googleaccessid", "expires"),  # Google Cloud Storage, V2
    _scheme("signature", "ossaccesskeyid", "expires security-token"),  # Alibaba Cloud OSS
    _scheme(  # Azure, shared access signatures
        "sig",
        "sv se",
        "ss srt sr sp st sip spr si skoid sktid skt ske sks skv sdd saoid suoid scid ses",
    ),
)
_AZURE_DATES, _YEAR = ("sv", "se"), re.compile(r"[12]\d{3}(?:-|%(?:25)*2d)", re.IGNORECASE)
_NAMES = frozenset().union(*(scheme.parameters for scheme in _SCHEMES))

# A letter, digit or hyphen that is percent-encoded although it need not be.
_ENCODED_LETTER = r"%(?:25)*(?:2d|3[0-9]|[46][1-9a-f]|[57][0-9a])"
_ENCODED_LETTERS = re.compile(_ENCODED_LETTER, re.IGNORECASE)
_HINT = re.compile(rf"sig(?:nature)?[=%\\&]|{_ENCODED_LETTER}", re.IGNORECASE)  # in each signed URL
_WHOLE_URL = re.compile(r"[a-z][a-z0-9+.-]{0,19}://(?:(?!://)[^\r\n])*+", re.IGNORECASE)
_URL_BEFORE = re.compile(r"[a-z0-9+.-]{1,20}://[^\r\n]*\Z", re.IGNORECASE)
_PATH_CHARACTERS = 1024  # of a URL that continues after a space or a quote
_WORD = re.compile(r"(?<![^\s\"'<>`])[^\s\"'<>`]{15,}")  # a signed URL is longer
_URL_START = re.compile(r"[a-z0-9+.-]{1,20}(?::|%(?:25)*3A)(?:\\?/|%(?:25)*2F)|/", re.IGNORECASE)
_NEXT_URL = re.compile(r"(?<=[,;|(){}\[\]])(?=[a-z][a-z0-9+.-]{0,19}://)", re.IGNORECASE)


_ESCAPE = r"\\{1,8}(?:u(?:0000)?00|x)"  # in JSON and code, which may itself be in JSON
_ENTITY = r"&(?:amp;){0,8}"  # the beginning of a character in HTML


def _encoded(code: str, number: int, name: str) -> str:
    """A pattern for a character in a part of a URL, JSON, code or HTML.

    code: its hexadecimal code. number: the same, decimal. name: of its HTML entity.
    """
    return rf"%(?:25)*{code}|{_ESCAPE}{code}|{_ENTITY}(?:\#0*{number}|\#x0*{code}|{name});"


_QUESTION_MARK, _HASH = rf"\?|{_encoded('3f', 63, 'quest')}", r"%(?:25)*23|(?<!&)(?<!amp;)\#"
_OTHER = rf"(?!{_ENTITY}(?:\#[0-9]+|\#x[0-9a-f]+|[a-z]+);)"  # not before another character in HTML
_AMPERSAND = rf"{_encoded('26', 38, 'amp')}|{_OTHER}&(?:amp;|\#0*38;|\#x0*26;)*"
# Between the parameters of a URL.
_DELIMITER = re.compile(rf"((?=[?&%\\\#])(?:{_QUESTION_MARK}|{_AMPERSAND}|{_HASH}))", re.IGNORECASE)

_CODES = "2[abdef5]|3[abd]|40|5f|7e"  # of the characters of a value other than letters and digits
_NUMBERS = "37|4[235-7]|5[89]|61|64|95|126"  # the same, decimal
_NAMES_IN_HTML = "equals|plus|sol|percnt|colon|period|lowbar|ast"
_HTML_CHARACTER = rf"{_ENTITY}(?:\#x0*(?:{_CODES})|\#0*(?:{_NUMBERS})|{_NAMES_IN_HTML});"
_VALUE = rf"(?:[a-z0-9%+/=_~.:@*-]++|\\{{1,8}}/|{_ESCAPE}(?:{_CODES})|{_HTML_CHARACTER})*"
_PARAMETER = re.compile(
    rf"(?P<name>(?:[a-z0-9-]|{_ENCODED_LETTER})+)(?:=|{_encoded('3d', 61, 'equals')})"
    rf"(?P<value>(?<=SignedHeaders=)[a-z0-9%;-]+|{_VALUE})",
    re.IGNORECASE,
)
_IS_QUESTION_MARK = re.compile(_QUESTION_MARK, re.IGNORECASE)
_ENDS_IN_HTML = re.compile(rf"(?:{_HTML_CHARACTER})\Z", re.IGNORECASE)
_PUNCTUATION = ".:;*"  # at the end of a URL it belongs to the text around it


def strip_signatures(text: str) -> str:
    """Return a text without the signing parameters of the URLs in it. Nothing else is changed.

    Known are the signatures of AWS, CloudFront, Google Cloud Storage, Azure and Alibaba Cloud. A URL loses their
    parameters only if it has the complete signature.

    Example:
        url = "https://b/a.jpg?v=2&X-Amz-Credential=AKIA&X-Amz-Signature=5ec2e7#top"
        strip_signatures(f"GET {url} failed")  # "GET https://b/a.jpg?v=2#top failed"
    """
    if not _may_be_signed(text):
        return text
    return _strip_url(text) if _WHOLE_URL.fullmatch(text) else _WORD.sub(_strip_word, text)


def strip_signatures_in(value: Any) -> Any:
    """Return a JSON-like value with `strip_signatures` applied to all strings and keys. Tuples stay tuples."""
    if isinstance(value, str):
        return strip_signatures(value)
    root: list[Any] = [None]
    tuples: list[tuple[Any, Any]] = []  # parent and key of lists that were tuples, outer ones first
    pending: list[tuple[Any, Any, Any]] = [(root, 0, value)]  # without recursion: an answer may be nested deeply
    while pending:
        parent, key, item = pending.pop()
        if isinstance(item, str):
            parent[key] = strip_signatures(item)
        elif isinstance(item, list | tuple):
            parent[key] = children = [None] * len(item)
            if isinstance(item, tuple):
                tuples.append((parent, key))
            pending += [(children, index, child) for index, child in enumerate(item)]
        elif isinstance(item, dict):
            mapping: dict[Any, Any] = {}
            parent[key] = mapping
            for name, child in item.items():
                mapping[_strip_key(name, mapping)] = child
            pending += [(mapping, name, child) for name, child in mapping.items()]
        else:
            parent[key] = item
    for parent, key in reversed(tuples):
        parent[key] = tuple(parent[key])
    return root[0]


def to_redacted_json(value: Any, *, sort_keys: bool = False) -> str:
    """Return the JSON of a value, without the signatures in its strings and keys."""
    text = dump_json(value, sort_keys=sort_keys).decode()
    if not _may_be_signed(text):
        return text
    return dump_json(strip_signatures_in(value), sort_keys=sort_keys).decode()


def redact_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that the exceptions it raises contain no signatures, also after pickling."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _redact_error(error)
            raise

    return wrapper


def _redact_error(error: BaseException) -> None:
    """Redact the arguments and attributes of an exception, and those of the exceptions that led to it."""
    chain: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or current in chain:
            continue
        chain.append(current)
        current.args = tuple(_redact_attribute(arg) for arg in current.args)
        for name, value in list(vars(current).items()):
            if isinstance(value, str | tuple | list | dict):
                vars(current)[name] = _redact_attribute(value)
        pending += [current.__cause__, current.__context__]


def _redact_attribute(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(strip_signatures_in(list(value))) if type(value) is tuple else value
    return strip_signatures_in(value) if isinstance(value, str | list | dict) else value


def _may_be_signed(text: str) -> bool:
    """Whether a text contains what all signed URLs contain; fast."""
    if "=" not in text and "%" not in text and "\\" not in text and "&" not in text:
        return False
    if "sig" in text or "Sig" in text or "SIG" in text:
        return bool(_HINT.search(text))
    return "%" in text and bool(_ENCODED_LETTERS.search(text))


def _strip_key(key: Any, others: dict[Any, Any]) -> Any:
    """Return a key without signatures, numbered if another key differs only in its signature."""
    if not isinstance(key, str):
        return key
    stripped = unique = strip_signatures(key)
    number = 1
    while unique in others:
        number += 1
        unique = f"{stripped} ({number})"
    return unique


def _strip_word(match: re.Match[str]) -> str:
    word = match[0]
    if not _HINT.search(word):
        return word
    before = match.string[max(0, match.start() - _PATH_CHARACTERS) : match.start()]
    first, *others = _NEXT_URL.split(word)
    return "".join([_strip_url(first, continues_url=bool(_URL_BEFORE.search(before))), *map(_strip_url, others)])


def _strip_url(url: str, continues_url: bool = False) -> str:
    """Remove the signing parameters from a text that may be a URL, or the rest of the URL before it."""
    parts = _DELIMITER.split(url)  # text, delimiter, text, delimiter, text …
    if len(parts) < 3 or not (continues_url or _URL_START.search(parts[0])):
        return url
    parameters = [_PARAMETER.match(part) for part in parts[2::2]]
    names = {_name(parameter) for parameter in parameters if parameter and _is_plausible(parameter)} & _NAMES
    signing: set[str] = set()
    for scheme in _SCHEMES:
        if scheme.required <= names and scheme.any_of & names:
            signing |= scheme.parameters
    if not names & signing:
        return url
    pieces = [parts[0]]
    start = ""  # the `?` whose first parameters were removed
    for delimiter, part, parameter in zip(parts[1::2], parts[2::2], parameters, strict=True):
        kind = _kind(delimiter)
        if kind == "&" and start and _level(delimiter) >= _level(start):
            delimiter = start
        if kind != "#" and parameter and _name(parameter) in signing:
            rest = part[parameter.start("value") + _length(parameter["value"]) :]
            start = delimiter if kind == "?" or (start and delimiter is start) else ""
            pieces.append(rest)
        else:
            start = ""
            pieces += [delimiter, part]
    return "".join(pieces)


def _name(parameter: re.Match[str]) -> str:
    """Return the name of a parameter, decoded and in lower case."""
    return _ENCODED_LETTERS.sub(lambda match: chr(int(match[0][-2:], 16)), parameter["name"]).lower()


def _is_plausible(parameter: re.Match[str]) -> bool:
    """Whether a parameter can be part of a signature: short names also have other meanings."""
    return _name(parameter) not in _AZURE_DATES or bool(_YEAR.match(parameter["value"]))


def _length(value: str) -> int:
    """Return the length of a value without the punctuation that follows it."""
    return len(value) if _ENDS_IN_HTML.search(value) else len(value.rstrip(_PUNCTUATION))


def _kind(delimiter: str) -> str:
    """Return the character that a delimiter represents: "?", "&" or "#"."""
    if _IS_QUESTION_MARK.fullmatch(delimiter):
        return "?"
    return "#" if delimiter.endswith(("#", "23")) else "&"


def _level(delimiter: str) -> int:
    """Return how often a delimiter is percent-encoded."""
    return 0 if not delimiter.startswith("%") else 1 + delimiter.count("25")
