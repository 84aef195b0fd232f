"""Error messages for S3: what is wrong and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass

from labelflow.storage.s3_client import client, error_code, split_uri

NOT_FOUND = ("NoSuchKey", "404", "NotFound")
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
    """What is wrong with a request to S3, and how to fix it.

    is_systemic: the error is not specific to one object; requests for other objects would fail as well.
    """

    reason: str
    fix: str
    is_systemic: bool = False


def s3_error(error: Exception, uri: str) -> str:
    """Describe an error in one line, `reason; fix`, without credentials or signatures."""
    problem = explain(error, uri)
    return f"{problem.reason}; {problem.fix}"


def explain(error: Exception, uri: str) -> S3Problem:
    """Explain an error of botocore, or a FileNotFoundError or ValueError raised by `labelflow.storage.s3`."""
    from botocore.exceptions import ClientError

    if isinstance(error, ValueError | FileNotFoundError):
        reason, _, fix = str(error).rpartition("; ")
        return S3Problem(reason or fix, fix if reason else "correct the URI")
    class_names = {kind.__name__ for kind in type(error).__mro__}
    if class_names.intersection(_NO_CREDENTIALS):
        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        return S3Problem("no S3 credentials were found", fix, is_systemic=True)
    if class_names.intersection(_UNREACHABLE):
        reason = f"S3 at {client().meta.endpoint_url} does not respond"
        return S3Problem(reason, "check AWS_ENDPOINT_URL and the network", is_systemic=True)
    if "ParamValidationError" in class_names:
        return S3Problem(f"{uri!r} is not a valid S3 URI", "use s3://bucket/key")
    if isinstance(error, ClientError):
        return _explain_response(error_code(error), error.response["ResponseMetadata"]["HTTPStatusCode"], uri)
    return S3Problem(f"the request to S3 failed ({type(error).__name__})", "check the AWS settings", is_systemic=True)


def _explain_response(code: str, status: int, uri: str) -> S3Problem:
    bucket, key = split_uri(uri)
    if code == "NoSuchBucket":
        return S3Problem(f"there is no bucket {bucket!r}", "correct its name, or create it")
    if code in NOT_FOUND:
        return S3Problem(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if code in DENIED:
        return S3Problem(f"access to s3://{bucket}/{key} is denied", "grant these credentials access to it")
    if code == "InvalidObjectState":
        return S3Problem(f"s3://{bucket}/{key} is archived", "restore it to a readable storage class")
    if code == "PreconditionFailed":
        return S3Problem(f"s3://{bucket}/{key} was replaced while it was read", "run again")
    if code in _BAD_CREDENTIALS:
        fix = "check the credentials, the region and the system clock"
        return S3Problem(f"S3 does not accept the credentials ({code})", fix, is_systemic=True)
    return S3Problem(f"S3 returned HTTP {status} ({code})", "run again later", is_systemic=status >= 500)
