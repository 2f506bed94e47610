"""Why state is not kept.

StateFileError           it cannot be read or written now: say why, go on, try again
├── StateFileForeignError    it is something else's: left alone
├── StateFileInUseError      another exporter has it: two must not start on one file
└── StateFileLostError       it was damaged, and a new one is begun: write all there is
"""


class StateFileError(Exception):
    """The state file cannot be used now; the message names it and says why."""


class StateFileForeignError(StateFileError):
    """What is there is none of ours; it is left as it is."""


class StateFileInUseError(StateFileError):
    """Another process has the state file open."""


class StateFileLostError(StateFileError):
    """The state file was found damaged and set aside; the new one is empty."""
