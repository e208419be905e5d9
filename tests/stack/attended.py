"""Runs a Python program for as long as somebody holds our stdin open.

    python attended.py <program> <arguments>...

The tests share services that nothing in them would end: the system closes the
pipe when they are over, however that happens.
"""

import os
import runpy
import sys
import threading


def end_with_stdin():
    while os.read(0, 1):
        pass
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
