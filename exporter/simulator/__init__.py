"""Simulate CloudDC, IAM and the console gateway for demos, tests, benchmarks and outage drills.

It shares no code with the client that it tests.
"""

from exporter.simulator.fleet import generated_servers
from exporter.simulator.scenario_file import load_scenario, parse_scenario
from exporter.simulator.section import ScenarioError
from exporter.simulator.server import run, running_simulator
from exporter.simulator.simulator import Simulator

__all__ = [
    "ScenarioError",
    "Simulator",
    "generated_servers",
    "load_scenario",
    "parse_scenario",
    "run",
    "running_simulator",
]
