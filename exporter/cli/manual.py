"""The manual pages that ``--help`` prints: one for the program and one for each command."""

from dataclasses import dataclass

Entries = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The manual page of a command; an entry is a term and its description.

    An example is a valid command line and a description of what it does.
    """

    summary: str
    description: str
    examples: Entries
    exit_status: Entries
    environment: Entries = ()
    files: Entries = ()
    signals: Entries = ()

    @property
    def sections(self) -> tuple[tuple[str, Entries], ...]:
        """Return the sections that are not empty, in the order of manual pages."""
        sections = (
            ("signals", self.signals),
            ("environment", self.environment),
            ("files", self.files),
            ("exit status", self.exit_status),
            ("examples", self.examples),
        )
        return tuple(one for one in sections if one[1])


_WRONG_USE = ("2", "the command line is invalid")
_INTERRUPTED = ("130", "interrupted by Ctrl-C")
_CONFIG_ERROR = (
    "1",
    "the configuration is unreadable or invalid; standard error lists each error and its position",
)
_VARIABLES = "variables used in the configuration; one that is not set is an error"
_CONFIG_FILES = (
    (
        "config.yaml",
        (
            "the configuration, in the working directory unless --config.file is set;"
            " relative paths in it are relative to its folder"
        ),
    ),
    (
        "*_file",
        (
            "secrets in files, such as password_file; read at each use, so that a changed secret"
            " needs no reload"
        ),
    ),
)

OVERVIEW = Page(
    summary="probe remote consoles",
    description=(
        "Probe the remote consoles of bare-metal servers in Huawei Cloud CloudDC and expose the"
        " results to Prometheus. Only conclusive probes change a console's state: an exhausted"
        " quota or an expired password does not mark a console as down. 'console-exporter COMMAND"
        " --help' shows the manual of a command."
    ),
    examples=(
        ("console-exporter demo", "try it against a simulated cloud, without an account"),
        (
            "console-exporter check-config --config.file=my.yaml",
            "list all errors of a configuration",
        ),
        ("console-exporter serve --config.file=my.yaml", "run the exporter"),
    ),
    exit_status=(
        ("0", "success"),
        ("1", "failure; standard error says why"),
        ("2", "the command line is invalid, or check-config found a rate limit that is too low"),
        _INTERRUPTED,
    ),
    environment=(("COLUMNS", "width of this text; by default the width of the terminal"),),
)

PAGES = {
    "serve": Page(
        summary="run the exporter",
        description=(
            "Probe every configured server at its interval, within the project's rate limit, and"
            " serve the results as /metrics, status pages and a JSON API. A scrape never waits for"
            " a probe. Log lines go to standard error."
        ),
        examples=(
            (
                "console-exporter serve --config.file=my.yaml --web.listen-address=127.0.0.1:10429",
                "listen on loopback only",
            ),
            (
                "console-exporter serve --config.file=my.yaml --web.config.file=web.yml",
                "serve over TLS with authentication",
            ),
            (
                "console-exporter serve --shard.index=auto --shard.count=3 --state.file=state.db",
                "run one of three exporters that share the servers, and keep state across restarts",
            ),
            (
                "console-exporter serve --config.file=my.yaml --log.level=debug --log.format=json",
                "log debug messages as JSON for a log collector",
            ),
        ),
        signals=(
            (
                "SIGHUP",
                (
                    "reload the configuration, like POST /-/reload; if it is invalid, the current"
                    " one stays active; unchanged servers keep their phase, counts and history"
                ),
            ),
            ("SIGTERM, SIGINT", "wait for running probes, then stop; takes at most 5 seconds"),
        ),
        environment=(
            ("${VAR}", _VARIABLES + "; changing one needs a restart"),
            (
                "LISTEN_FDS",
                "sockets passed by systemd; they replace --web.listen-address",
            ),
            ("NOTIFY_SOCKET", "socket for notifying systemd of readiness, reloads and shutdown"),
            ("WATCHDOG_USEC", "timeout of systemd's watchdog, in microseconds"),
        ),
        files=(
            *_CONFIG_FILES,
            (
                "server_files",
                "server lists named in the configuration; reloaded within seconds of a change",
            ),
            (
                "--web.config.file",
                "TLS and users; changes apply to the next connection or request",
            ),
            (
                "--state.file",
                "SQLite database, created if missing; a damaged one is renamed and replaced",
            ),
        ),
        exit_status=(
            ("0", "stopped by a signal"),
            (
                "1",
                _CONFIG_ERROR[1] + "; or listening on the address failed; or another exporter uses"
                " the state file",
            ),
            _WRONG_USE,
        ),
    ),
    "check-config": Page(
        summary="validate the configuration and compare its probes with the rate limits",
        description=(
            "Read the configuration as serve does, and print every error with file, line, column,"
            " path and fix. If there is none, list the projects and their servers, and compare the"
            " probes per second that the intervals need with the rate limit. No request is sent to"
            " the cloud."
        ),
        examples=(
            (
                "console-exporter check-config --config.file=my.yaml",
                "check a configuration before deploying it",
            ),
        ),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "valid, and the rate limits are high enough for the probes"),
            _CONFIG_ERROR,
            ("2", "valid, but a rate limit is too low; or the command line is invalid"),
        ),
    ),
    "discover": Page(
        summary="print the servers that each source of each project lists",
        description=(
            "Read every source of servers once, including the cloud's API, and print the servers"
            " that serve would probe. No console is probed."
        ),
        examples=(
            ("console-exporter discover --config.file=my.yaml", "list the servers to be probed"),
        ),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "every source was read"),
            ("1", _CONFIG_ERROR[1] + "; or a source failed"),
            _WRONG_USE,
            _INTERRUPTED,
        ),
    ),
    "probe": Page(
        summary="probe one server now; exit 0 only if its console is reachable",
        description=(
            "Probe one configured server and print its stages as a waterfall: how long each took,"
            " and which one failed. The probe sends requests to the real cloud, including a login"
            " if needed. It does not share the rate limit of a running exporter. The console's"
            " address and token are not printed."
        ),
        examples=(
            (
                "console-exporter probe --config.file=my.yaml db-01",
                "probe with the configured depth",
            ),
            (
                "console-exporter probe --config.file=my.yaml --depth=security db-01",
                "probe all stages, up to the security types of the RFB protocol",
            ),
            (
                "console-exporter probe --config.file=my.yaml --format=json db-01",
                "print the result as JSON",
            ),
        ),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "every stage passed"),
            (
                "1",
                (
                    "the console is not reachable, the probe was inconclusive (throttled, no"
                    " login, API unreachable, too many viewers), the server is not configured, or"
                    " the configuration is invalid"
                ),
            ),
            _WRONG_USE,
            _INTERRUPTED,
        ),
    ),
    "simulate": Page(
        summary="run the simulated cloud without an exporter",
        description=(
            "Simulate the cloud's API, logins and consoles for tests. A scenario defines latencies,"
            " quotas and faults over time. The command prints its address and needs no account. Do"
            " not send real secrets to it."
        ),
        examples=(
            ("console-exporter simulate", "run the cloud that the shipped config.yaml probes"),
            (
                "console-exporter simulate --servers=10000 --seed=1 --listen=127.0.0.1:8080",
                "run a large cloud, identical in each run",
            ),
            ("console-exporter simulate --scenario=quota-cut", "run a shipped scenario"),
        ),
        signals=(("SIGTERM, SIGINT", "stop"),),
        exit_status=(
            ("0", "stopped by a signal"),
            ("1", "the scenario or an address is invalid; standard error says why"),
            _WRONG_USE,
        ),
    ),
    "demo": Page(
        summary="run the simulated cloud and an exporter that probes it, on loopback",
        description=(
            "Run a demo with the shipped config.yaml: the simulated cloud listens on"
            " 127.0.0.1:18080 and the exporter on 127.0.0.1:10429; with --prometheus, Prometheus on"
            " 127.0.0.1:9090 and Alertmanager on 127.0.0.1:9093. The addresses to open are printed."
            " No files are left behind."
        ),
        examples=(
            ("console-exporter demo", "probe a cloud with a few broken consoles"),
            (
                "console-exporter demo --prometheus --scenario=gateway-dead",
                "simulate an outage and see its alerts",
            ),
        ),
        signals=(
            ("SIGHUP", "reload the configuration"),
            ("SIGTERM, SIGINT", "stop everything"),
        ),
        exit_status=(
            ("0", "stopped by a signal"),
            ("1", "a port is in use, a program is missing, or the scenario is invalid"),
            _WRONG_USE,
        ),
    ),
    "config-schema": Page(
        summary="print the JSON Schema of the configuration",
        description=(
            "Print the schema to standard output, for editors that complete and validate YAML."
            " check-config checks more, such as settings that contradict each other."
        ),
        examples=(
            ("console-exporter config-schema", "print the schema; redirect it with > schema.json"),
        ),
        exit_status=(("0", "printed"), _WRONG_USE),
    ),
}
