"""Errors of S3, explained: what is wrong and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from labelflow.storage.s3_client import client, error_code, split_uri

_NOT_FOUND = ("NoSuchKey", "404", "NotFound")
DENIED = ("AccessDenied", "403", "Forbidden", "AllAccessDisabled")
_BAD_CREDENTIALS = (
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired "
    "RequestExpired RequestTimeTooSkewed AuthorizationHeaderMalformed 400 401"
).split()
_UNREACHABLE = (
    "EndpointConnectionError ConnectTimeoutError ReadTimeoutError ConnectionClosedError ProxyConnectionError "
    "SSLError HTTPClientError ConnectionError InvalidEndpointURLError ResponseStreamingError IncompleteReadError"
).split()
_NO_CREDENTIALS = (
    "NoCredentialsError PartialCredentialsError ProfileNotFound CredentialRetrievalError "
    "TokenRetrievalError SSOTokenLoadError UnauthorizedSSOTokenError InvalidConfigError"
).split()


@dataclass(frozen=True, slots=True)
class S3Problem:
    """An S3 error in words: what is wrong, what would be right.

    everywhere: no single object is at fault; the next one would fare no better.
    """

    reason: str
    fix: str
    is_systemic: bool = False


def s3_error(error: Exception, uri: str) -> str:
    """An error in one sentence: what is wrong, what would be right. No credential and no signature in it."""
    explained = explain(error, uri)
    return f"{explained.reason}; {explained.fix}"


def explain(error: Exception, uri: str) -> S3Problem:
    """What an error of botocore, a FileNotFoundError or a ValueError of this module means for a URI."""
    from botocore.exceptions import ClientError

    if isinstance(error, ValueError | FileNotFoundError):
        reason, _, fix = str(error).rpartition("; ")
        return S3Problem(reason or fix, fix if reason else "correct the URI")
    names = {kind.__name__ for kind in type(error).__mro__}
    if names.intersection(_NO_CREDENTIALS):
        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        return S3Problem("no S3 credentials were found", fix, is_systemic=True)
    if names.intersection(_UNREACHABLE):
        reason = f"S3 at {client().meta.endpoint_url} does not answer"
        return S3Problem(reason, "check AWS_ENDPOINT_URL and the network", is_systemic=True)
    if "ParamValidationError" in names:
        return S3Problem(f"{uri!r} is no S3 URI", "write s3://bucket/key")
    if isinstance(error, ClientError):
        return _explain_answer(error_code(error), error.response["ResponseMetadata"]["HTTPStatusCode"], uri)
    return S3Problem(f"S3 cannot be used ({type(error).__name__})", "check the AWS settings", is_systemic=True)


def _explain_answer(code: str, status: int, uri: str) -> S3Problem:
    bucket, key = split_uri(uri)
    if code == "NoSuchBucket":
        return S3Problem(f"there is no bucket {bucket!r}", "correct its name, or create it")
    if code in _NOT_FOUND:
        return S3Problem(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if code in DENIED:
        return S3Problem(f"access to s3://{bucket}/{key} is denied", "allow it to these credentials")
    if code == "InvalidObjectState":
        return S3Problem(f"s3://{bucket}/{key} is archived", "restore it to a class that can be read")
    if code == "PreconditionFailed":
        return S3Problem(f"s3://{bucket}/{key} was replaced while it was read", "run again")
    if code in _BAD_CREDENTIALS:
        fix = "correct or renew the credentials, the region and the clock"
        return S3Problem(f"S3 does not accept the credentials ({code})", fix, is_systemic=True)
    return S3Problem(f"S3 answered {status} ({code})", "run again later", is_systemic=status >= 500)
