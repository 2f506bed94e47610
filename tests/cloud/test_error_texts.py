"""Tests that known error codes are explained."""

import re
from pathlib import Path

import pytest

from exporter.cloud.error_texts import error_text

DOCUMENTED = sorted(
    set(
        re.findall(
            r"(?:iMetal|APIGW|PAP5)\.\d{4}",
            (Path(__file__).parents[2] / "docs" / "cloud-api.md").read_text(),
        )
    )
)


@pytest.mark.parametrize("code", DOCUMENTED)
def test_each_documented_code_has_a_cause_and_a_remedy(code: str) -> None:
    cause, _, remedy = error_text(code, 400).partition(": ")
    assert cause
    assert remedy
    assert len(cause) + len(remedy) < 110


def test_the_documented_codes_are_found() -> None:
    assert {"iMetal.0101", "APIGW.0301", "APIGW.0310", "PAP5.0001"} <= set(DOCUMENTED)


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("iMetal.0004", 403, "lacks permission: grant clouddc:imetal:createRemoteConsoleLink"),
        ("PAP5.0042", 403, "an identity policy denies the request"),
        ("APIG.0301", 401, "IAM authentication failed"),
        ("APIGW.0201", 400, "rejects the request"),
        ("APIGW.0201", 494, "too large"),
        ("APIGW.0201", 502, "down or too slow"),
        ("APIGW.0201", 504, "down or too slow"),
        ("APIGW.0613", 503, "cannot reach IAM"),
    ],
)
def test_a_text_fits_the_code_and_the_status(code: str, status: int, text: str) -> None:
    assert text in error_text(code, status)


@pytest.mark.parametrize("code", ["", "401", "iMetal.9999", "Other.0301"])
def test_an_unknown_code_has_no_text(code: str) -> None:
    assert error_text(code, 400) == ""
