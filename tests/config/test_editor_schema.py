"""The JSON Schema for editors agrees with the loader."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from exporter.config.editor_schema import json_schema

HERE = Path(__file__).parent
# Errors that need other files, the environment, two values or the YAML text to detect.
NOT_IN_SCHEMA = frozenset(
    [
        "aliases_expand_too_far",
        "duplicate_keys",
        "variable_not_set",
        "variable_malformed",
        "variable_with_invalid_value",
        "two_documents",
        "not_yaml",
        "control_character",
        "not_utf8",
        "tab_indentation",
        "alias_of_itself",
        "alias_without_anchor",
        "python_tag",
        "password_that_looks_like_a_tag",
        "merge_of_a_text",
        "mapping_as_key",
        "variable_unquoted_in_braces",
        "nested_too_deep",
        "timeout_equals_interval",
        "timeout_of_global_too_long_for_many",
        "timeout_of_project_too_long",
        "timeout_of_server_too_long",
        "timeout_too_long_without_servers",
        "timeout_too_long_for_discovered_servers",
        "interval_of_server_shorter_than_default_timeout",
        "interval_out_of_bounds",
        "project_names_twice",
        "server_ids_twice",
        "endpoint_is_plain_http",
        "endpoint_looks_like_loopback",
        "iam_endpoint_invalid",
        "metadata_endpoint_invalid",
        "auth_secret_file_missing",
        "auth_secret_file_is_a_folder",
        "auth_secret_file_empty",
        "auth_secret_file_invalid",
        "auth_token_invalid_in_header",
        "auth_password_with_line_break",
        "tls_files_are_no_pem",
        "tls_files_missing",
        "skip_verify_is_yes",
    ]
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_accepts_the_documented_example(validator: Draft202012Validator) -> None:
    validator.validate(yaml.safe_load((HERE / "documented.yaml").read_text()))


@pytest.mark.parametrize(
    "name",
    sorted({path.stem for path in (HERE / "bad").glob("*.yaml")} - NOT_IN_SCHEMA),
)
def test_rejects_bad_files(name: str, validator: Draft202012Validator) -> None:
    document = yaml.safe_load((HERE / "bad" / f"{name}.yaml").read_text())
    assert not validator.is_valid(document)


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "token", "token_file": "t"},
        {"type": "token", "token": "t", "token_file": None},
        {"type": "token", "token": 1234},
        {"type": "aksk", "access_key": "a", "secret_key_file": "s", "security_token": "${T}"},
        {"type": "agency", "metadata_endpoint": None},
    ],
)
def test_accepts_secrets_in_either_form(
    auth: dict[str, Any], validator: Draft202012Validator
) -> None:
    project = {"name": "a", "region": "r", "project_id": 123, "auth": auth}
    validator.validate({"projects": [project]})


def test_every_key_has_a_description() -> None:
    sections = json_schema()["$defs"].values()
    undescribed = [
        key
        for section in sections
        for key, schema in section["properties"].items()
        if key != "type" and "description" not in schema and "$ref" not in str(schema)
    ]
    assert undescribed == []
