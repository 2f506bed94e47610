"""Discover servers from the cloud's API, with checks of every list."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import httpx
import structlog

from exporter.clock import Clock
from exporter.cloud.server_list import ListedServer
from exporter.config.config import Discovery, Project
from exporter.config.secret import SecretUnreadableError
from exporter.config.value_checks import label_value, server_id, server_name
from exporter.model import Target, TargetKey
from exporter.targets.shrink_guard import ShrinkGuard
from exporter.targets.source import DiscoveryObserver, Source, TargetSink

CONFIRM_SECONDS = 60.0
"""Maximum time until a list that lost many servers is fetched again."""
_RETRY_SECONDS = 10.0

_STATE = re.compile(r"[A-Za-z0-9_-]{1,32}")

log = structlog.get_logger(__name__)


class ServerLister(Protocol):
    """The part of the cloud client that discovery uses."""

    def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,
    ) -> AsyncIterator[list[ListedServer]]:
        """List all servers, page by page; raises `httpx.RequestError`."""


async def list_targets(
    project: Project, discovery: Discovery, lister: ServerLister
) -> tuple[list[Target], Counter[str]]:
    """List a project's servers once; return the targets and the counts of unusable entries.

    Raises `httpx.RequestError` and `SecretUnreadableError`.
    """
    # The API filters by one state at most.
    state = discovery.manage_state[0] if len(discovery.manage_state) == 1 else None
    found: dict[TargetKey, Target] = {}
    selection = Selection(project, discovery)
    async for page in lister.server_pages(manage_state=state, timeout=project.timeout):
        # In a thread, because a thousand records would block the event loop for too long.
        found.update(await asyncio.to_thread(selection.chosen, page))
    return list(found.values()), selection.unusable


class Selection:
    """Selects the servers of a list to probe, by the rules of ``discovery``.

    Ids, names and labels must meet the same rules as in the configuration; ``unusable`` counts
    those that do not. Servers with an unusable id are left out, unusable names are replaced by
    the id, unusable labels are dropped.
    """

    def __init__(self, project: Project, discovery: Discovery) -> None:
        self._project = project
        self._discovery = discovery
        self.unusable: Counter[str] = Counter()

    def chosen(self, page: list[ListedServer]) -> dict[TargetKey, Target]:
        """Return the targets among the records of a page."""
        targets = (self._target(record) for record in page)
        return {target.key: target for target in targets if target}

    def _target(self, record: ListedServer) -> Target | None:
        states = self._discovery.manage_state
        if states and record.manage_state not in states:
            return None
        try:
            key = TargetKey(self._project.name, server_id(record.id))
        except ValueError:
            self.unusable["servers"] += 1
            return None
        try:
            name: str = server_name(record.name)
        except ValueError:
            self.unusable["names"] += 1
            name = key.server_id
        if not self._discovery.name_regex.fullmatch(name):
            return None
        project = self._project
        labels = tuple(sorted(self._labels(record)))
        return Target(
            key, name, project.region, project.interval, project.timeout, project.depth, labels
        )

    def _labels(self, record: ListedServer) -> Iterator[tuple[str, str]]:
        for label, field in self._discovery.labels:
            where, _, key = field.partition(".")
            text = (record.location if where == "location" else record.tags).get(key, "")
            try:
                if value := label_value(text):
                    yield label, value
            except ValueError:
                self.unusable["labels"] += 1
        for label, state in (
            ("power_state", record.power_state),
            ("health_state", record.health_state),
        ):
            if _STATE.fullmatch(state):
                yield label, state
            elif state:
                self.unusable["labels"] += 1


class CloudDiscovery:
    """Lists the servers of one project at an interval and passes each whole set to ``send``.

    ``known`` is the number of servers of the last list before this discovery started.
    """

    def __init__(  # noqa: PLR0913
        self,
        project: Project,
        discovery: Discovery,
        lister: ServerLister,
        *,
        send: TargetSink,
        observer: DiscoveryObserver,
        clock: Clock,
        known: int = 0,
    ) -> None:
        self._project = project
        self._discovery = discovery
        self._lister = lister
        self._send = send
        self._observer = observer
        self._clock = clock
        self._known = known
        self._guard = ShrinkGuard()
        self._failures = 0
        self._logged_unusable: Counter[str] = Counter()

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                pause = await self.refresh()
            except Exception as error:  # one failed list must not end the discovery
                log.exception("unexpected discovery error", project=self._project.name)
                pause = self._failed(type(error).__name__)
            await self._clock.sleep(pause)

    async def refresh(self) -> float:
        """List the servers once; return the seconds until the next list.

        If the list fails, or has lost over half of the servers and is not confirmed yet, the last
        good set stays active.
        """
        every = self._discovery.refresh_interval
        try:
            targets, unusable = await list_targets(self._project, self._discovery, self._lister)
        except (httpx.RequestError, SecretUnreadableError) as error:
            return self._failed(str(error))
        self._failures = 0
        self._log_unusable(unusable)
        if not self._guard.confirms(self._known, len(targets)):
            confirm = min(every, CONFIRM_SECONDS)
            log.warning(
                "over half of the servers missing from the cloud's list; confirming before removal",
                project=self._project.name,
                listed=len(targets),
                kept=self._known,
                again_in_seconds=confirm,
            )
            self._observer.refreshed(Source.CLOUD, self._clock.time())
            return confirm
        await self._send(targets)
        self._known = len(targets)
        self._observer.refreshed(Source.CLOUD, self._clock.time())
        return every

    def _failed(self, why: str) -> float:
        pause = min(self._discovery.refresh_interval, _RETRY_SECONDS * (1 << self._failures))
        self._failures = min(self._failures + 1, 20)
        self._observer.refresh_failed(Source.CLOUD)
        log.warning(
            "listing the cloud's servers failed",
            project=self._project.name,
            why=why,
            kept=self._known,
            again_in_seconds=pause,
        )
        return pause

    def _log_unusable(self, unusable: Counter[str]) -> None:
        if unusable and unusable != self._logged_unusable:
            log.warning(
                "unusable entries in the cloud's server list: servers and labels left out,"
                " names replaced by ids",
                project=self._project.name,
                **{kind: unusable[kind] for kind in ("servers", "names", "labels")},
            )
        self._logged_unusable = unusable
