"""Define the flags of each command; names follow Prometheus, as in ``--web.listen-address``."""

import argparse
from pathlib import Path

from exporter.model import Stage

LISTEN_ADDRESS = ":10429"
SIMULATOR_ADDRESS = "127.0.0.1:18080"


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the configuration file."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="configuration file",
    )


def web_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the web configuration file."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS and authentication of the web server, in the format of Prometheus'"
        " exporter-toolkit",
    )


def log_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags for logging."""
    # Repeated here, so that --help does not import the logging package.
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=lambda level: "warning" if level == "warn" else level,
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="minimum level of log messages",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        default="logfmt",
        help="format of log lines",
    )


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    config_argument(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        action="append",
        default=argparse.SUPPRESS,
        metavar="[HOST]:PORT",
        help=f"address to listen on; may be repeated (default: {LISTEN_ADDRESS})",
    )
    web_config_argument(parser)
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="URL of the exporter for browsers, if it is behind a reverse proxy",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        metavar="PATH",
        help="prefix of all paths (default: the path of --web.external-url)",
    )
    parser.add_argument(
        "--web.open-health-checks",
        dest="open_health_checks",
        action="store_true",
        help="serve /-/healthy and /-/ready without authentication",
    )
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="fail unless systemd passes sockets to listen on; with or without this flag, passed"
        " sockets replace --web.listen-address",
    )
    log_arguments(parser)
    parser.add_argument(
        "--shard.index",
        dest="shard_index",
        default="0",
        metavar="N|auto",
        help="index of this exporter among those that share the servers, from 0; auto: the number"
        " at the end of the host name, as in name-3",
    )
    parser.add_argument(
        "--shard.count",
        dest="shard_count",
        type=int,
        default=1,
        metavar="N",
        help="number of exporters that share the servers and, in equal parts, the rate limit",
    )
    parser.add_argument(
        "--state.file",
        dest="state_file",
        type=Path,
        metavar="FILE",
        help="file that keeps verdicts, histories, the request rate and the login across restarts;"
        " not shared between exporters, readable only by its owner",
    )


def probe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``probe``."""
    config_argument(parser)
    parser.add_argument("server", metavar="SERVER", help="id or name of a configured server")
    parser.add_argument("--project", help="project of the server, if its name is not unique")
    parser.add_argument(
        "--depth",
        choices=[stage.value for stage in Stage],
        help="last stage of the probe, by default the configured one. Beyond page, a console that"
        " allows one viewer at a time may be busy during the probe",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")


def simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``simulate``."""
    parser.add_argument(
        "--listen", default=SIMULATOR_ADDRESS, metavar="HOST:PORT", help="address to listen on"
    )
    parser.add_argument(
        "--servers", type=int, metavar="N", help="number of servers in the first project"
    )
    scenario_argument(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random number generator")
    for name, what in (("cert", "certificate"), ("key", "key of the certificate")):
        parser.add_argument(
            f"--tls.{name}-file",
            dest=f"{name}_file",
            type=Path,
            metavar="FILE",
            help=f"{what} in PEM format, to serve over TLS",
        )


def demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``demo``."""
    scenario_argument(parser)
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="also run Prometheus and Alertmanager with the shipped rules, if they are installed;"
        " an alert fires within three minutes",
    )
    log_arguments(parser)


def scenario_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the scenario of the simulated cloud."""
    parser.add_argument(
        "--scenario",
        default="default",
        metavar="NAME|FILE",
        help="scenario of the simulated cloud: a file or the name of a shipped one; an unknown name"
        " lists the shipped ones",
    )
