"""Errors of the state file.

StateFileError               it cannot be read or written now: log, continue, retry
├── StateFileForeignError    it belongs to another program and is not changed
├── StateFileInUseError      another exporter uses it; the second one must not start
└── StateFileLostError       it was damaged and replaced: write the whole state again
"""


class StateFileError(Exception):
    """The state file cannot be used now; the message names it and says why."""


class StateFileForeignError(StateFileError):
    """The file is not a state file of this program; it is not changed."""


class StateFileInUseError(StateFileError):
    """Another process has the state file open."""


class StateFileLostError(StateFileError):
    """The state file was damaged and has been replaced by an empty one."""
