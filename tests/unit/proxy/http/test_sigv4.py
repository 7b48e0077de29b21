"""Signatures against botocore's own, and against an example that AWS has published."""

from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from firewall.proxy.http.sigv4 import Keys, Message, UnsignableError, resign

OLD = Keys("AKIAPLACEHOLDER", "placeholder-of-the-secret-key")
NEW = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def signed(
    method: str, url: str, body: bytes, keys: Keys, service: str, date: str = ""
) -> AWSRequest:
    request = AWSRequest(method, url, {}, body)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    given = Credentials(keys.access_key, keys.secret_key, keys.token or None)
    auth(given, service, "us-east-1").add_auth(request)
    return request


def message(request: AWSRequest) -> Message:
    parts = urlsplit(request.url)
    fields = [(name.lower(), str(value)) for name, value in request.headers.items()]
    return Message(request.method, parts.path, parts.query, [*fields, ("host", parts.netloc)])


@pytest.mark.parametrize("service", ["s3", "dynamodb"])
@pytest.mark.parametrize("token", ["", "a-session-token=="])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/b?list-type=2&prefix=x%20y%2F&max-keys=3"),
        ("PUT", "/b/a%20b/c%3Dd%2Be.txt"),
        ("POST", "/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations"),
        ("GET", "/a//b/../c/"),
        ("GET", "/?b=2&a=1&a=0&c"),
    ],
)
def test_the_new_signature_is_that_of_the_client_with_the_new_keys(
    method: str, path: str, token: str, service: str
) -> None:
    body = b"hello"
    keys = Keys(NEW.access_key, NEW.secret_key, token)
    old = Keys(OLD.access_key, OLD.secret_key, "placeholder-token" if token else "")
    url = f"https://host.test:8443{path}"
    sent = signed(method, url, body, old, service)
    expected = signed(method, url, body, keys, service)
    headers = resign(message(sent), body, old, keys)
    date = sent.headers["X-Amz-Date"]
    if date == expected.headers["X-Amz-Date"]:  # they were signed in the same second
        assert headers["authorization"] == expected.headers["Authorization"]
    assert headers.get("x-amz-security-token", "") == token
    assert resign(_with(message(sent), headers), body, keys, old)


def _with(sent: Message, headers: dict[str, str]) -> Message:
    kept = [field for field in sent.fields if field[0] not in headers]
    return Message(sent.method, sent.path, sent.query, [*kept, *headers.items()])


def test_an_example_of_aws() -> None:
    """ "get-vanilla" of the Signature Version 4 test suite."""
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    fields = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
    sent = Message("GET", "/", "", [*fields, ("authorization", authorization)])
    assert resign(sent, b"", NEW, NEW) == {"authorization": authorization}


def test_what_the_placeholders_did_not_sign_is_not_signed() -> None:
    sent = signed("PUT", "https://host.test/b/k", b"hello", OLD, "s3")
    whole = message(sent)
    other = Message(whole.method, "/b/other", whole.query, whole.fields)
    with pytest.raises(UnsignableError, match="not that of the placeholders"):
        resign(other, b"hello", OLD, NEW)
    with pytest.raises(UnsignableError, match="another access key than the placeholder"):
        resign(whole, b"hello", NEW, NEW)
    bare = [each for each in whole.fields if each[0] != "authorization"]
    with pytest.raises(UnsignableError, match="is not signed as AWS4-HMAC-SHA256"):
        resign(Message("PUT", "/b/k", "", bare), b"hello", OLD, NEW)
    chunked = [*bare, ("authorization", whole.value("authorization"))]
    chunked = [each for each in chunked if each[0] != "x-amz-content-sha256"]
    chunked.append(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"))
    with pytest.raises(UnsignableError, match="have the client sign it as a whole"):
        resign(Message("PUT", "/b/k", "", chunked), b"", OLD, NEW)


@settings(max_examples=50)
@given(st.text(), st.text(), st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_no_request_makes_it_raise_anything_else(
    path: str, query: str, written: str, fields: list[tuple[str, str]]
) -> None:
    head = f"AWS4-HMAC-SHA256 Credential={OLD.access_key}/20150830/r/s/aws4_request, "
    signature = f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    for text in (written, head + signature):
        sent = Message("GET", path, query, [*fields, ("authorization", text)])
        with pytest.raises(UnsignableError):
            resign(sent, b"", OLD, NEW)
