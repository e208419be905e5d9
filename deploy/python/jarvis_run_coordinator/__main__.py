"""Starts the Run Coordinator, the program that pip has installed with this module.

Everything that starts the Python coordinator starts it by this: the command
`arp-jarvis-run-coordinator`, `python -m jarvis_run_coordinator`, and
`arp-jarvis run-coordinator`, which calls `main` with arguments.
"""

import os
import sys
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "arp-jarvis-run-coordinator"
PROGRAM = "jarvis-run-coordinator"


def program():
    """The path of the program: where the installer says that it is, or beside this
    module, for an installer that has moved its files (`pip install --target`)."""
    recorded = metadata.files(DISTRIBUTION) or []
    places = [Path(file.locate()) for file in recorded if file.name == PROGRAM]
    places.append(Path(__file__).resolve().parent.parent / "bin" / PROGRAM)
    for place in places:
        if os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise SystemExit(f"{PROGRAM} is not where {DISTRIBUTION} was installed: install it again")


def main(arguments=None):
    """Becomes the program: signals, exit codes and the process id are its own."""
    path = program()
    os.execv(path, [path, *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    main()
