"""Negotiation of the exposition format and of gzip."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.negotiation import Format, gzip_accepted, negotiate

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT = "text/plain;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        'Application/OpenMetrics-Text; Version="1.0.0"',
        "text/plain;q=0.5, application/openmetrics-text;q=0.6",
        "text/plain;q=0, application/openmetrics-text;q=0.001",
        "application/*, text/plain;q=0.9",
        "application/openmetrics-text, */*",
        "application/openmetrics-text, text/plain",
        "text/plain;q=0, */*",
        "nonsense;;;q=, application/openmetrics-text",
        "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0",
    ],
)
def test_openmetrics_is_used_if_the_client_prefers_it(accept: str) -> None:
    assert negotiate(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "text/*",
        BROWSER,
        PROMETHEUS_3_TEXT,
        "text/plain",
        "text/plain, application/openmetrics-text",
        "text/plain;q=0.6, application/openmetrics-text;q=0.5",
        "application/openmetrics-text;q=0.1, text/plain;version=0.0.4;q=0.2",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0, application/*;q=1",
        "application/openmetrics-text;version=1.0.0;q=0.1, application/*;q=1, text/plain;q=0.5",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=2.0.0, */*;q=0.1",
        "application/json",
        "image/png;q=0.5, application/json",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=-1",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=high",
        "application/openmetrics-text-2",
        ",;=,,",
    ],
)
def test_text_format_is_used_otherwise(accept: str | None) -> None:
    assert negotiate(accept) is Format.TEXT


@pytest.mark.parametrize(
    "accept_encoding",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, deflate, br",
        "deflate;q=0.5, gzip;q=0.001",
        "*",
        "identity;q=0, *;q=0.5",
        "gzip;q=0.5, identity;q=0.5",
        "br;q=1, gzip;q=0.8, *;q=0.1",
    ],
)
def test_gzip_is_used_if_the_client_accepts_it(accept_encoding: str) -> None:
    assert gzip_accepted(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    [
        None,
        "",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip; q=0.000",
        "gzip;q=0, *;q=1",
        "*;q=0",
        "identity;q=1, gzip;q=0.5",
        "gzip;q=2",
        "notgzip",
    ],
)
def test_gzip_is_not_used_otherwise(accept_encoding: str | None) -> None:
    assert not gzip_accepted(accept_encoding)


@settings(deadline=None)
@given(st.one_of(st.text(), st.text(alphabet='*/;=,q01."gzip text/plain application')))
def test_malformed_headers_raise_no_error(header: str) -> None:
    assert negotiate(header) in Format
    assert gzip_accepted(header) in {True, False}


def test_content_types_of_the_formats() -> None:
    assert Format.TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert (
        Format.OPENMETRICS.content_type
        == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
