"""Render the running configuration as YAML that `load` accepts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.config import Config, Project
from exporter.config.load import load
from exporter.config.rendering import as_yaml

Load = Callable[..., Config]
DOCUMENTED = Path(__file__).parent / "documented.yaml"


def test_defaults_are_shown_and_secrets_hidden(load_text: Load, minimal: str) -> None:
    text = minimal + "    servers: [{id: a, labels: {on: no, rack: 012, note: 'a: ${N}'}}]\n"
    assert as_yaml(load_text(text, {"N": "b # ${x}"})) == (
        "global:\n"
        "  interval: 1m\n"
        "  timeout: 10s\n"
        "  depth: api\n"
        "  history: 50\n"
        "projects:\n"
        "- name: one\n"
        "  region: cn-southwest-2\n"
        "  project_id: 0123456789abcdef0123456789abcdef\n"
        "  endpoint: https://clouddc.cn-southwest-2.myhuaweicloud.com\n"
        "  auth:\n"
        "    type: token\n"
        "    token: <secret>\n"
        "  rate_limit:\n"
        "    requests_per_second: 5.0\n"
        "    burst: 5\n"
        "  tls:\n"
        "    insecure_skip_verify: false\n"
        "  console:\n"
        "    allowed_hosts:\n"
        "    - '*.huaweicloud.com'\n"
        "    - '*.myhuaweicloud.com'\n"
        "    websocket_path: auto\n"
        "    tls:\n"
        "      insecure_skip_verify: false\n"
        "  interval: 1m\n"
        "  timeout: 10s\n"
        "  depth: api\n"
        "  server_files: []\n"
        "  servers:\n"
        "  - id: a\n"
        "    name: a\n"
        "    labels:\n"
        "      note: 'a: b # $${x}'\n"
        "      'on': 'no'\n"
        "      rack: '012'\n"
        "    interval: 1m\n"
        "    timeout: 10s\n"
        "    depth: api\n"
    )


def test_rendered_yaml_loads_as_the_same_configuration(tmp_path: Path) -> None:
    config = load(DOCUMENTED, {"IAM_PASSWORD": "hunter2"})
    path = tmp_path / "shown.yaml"
    path.write_text(as_yaml(config))
    reloaded = load(path, {})
    assert as_yaml(reloaded) == as_yaml(config)
    assert [_without_login(p) for p in reloaded.projects] == [
        _without_login(p) for p in config.projects
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_printable_name_is_rendered_as_valid_yaml(
    load_text: Load, minimal: str, name: str
) -> None:
    if not name.isprintable() or name != name.strip():
        return
    config = load_text(
        minimal + "    servers:\n      - id: a\n        name: ${NAME}\n", {"NAME": name}
    )
    rendered = yaml.safe_load(as_yaml(config))["projects"][0]["servers"][0]["name"]
    assert rendered == name.replace("${", "$${")
    assert load_text(as_yaml(config)).projects[0].servers[0].name == name


def _without_login(project: Project) -> Project:
    return replace(project, auth=load(DOCUMENTED, {"IAM_PASSWORD": "x"}).projects[0].auth)
