"""Becomes a program that lives for as long as somebody holds our stdin open.

    python attended.py <program> <arguments>...

A test ends its processes when it is over. Those that tests share, and all of
them if the tests are killed, have nobody to do that; but the system closes the
pipe.
"""

import os
import signal
import sys

program = os.getpid()
null = os.open(os.devnull, os.O_RDWR)
if os.fork() == 0:
    # Holds the pipe that it watches, and nothing else.
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    # Not somebody else who has got its number since.
    if os.getppid() == program:
        os.kill(program, signal.SIGKILL)
    os._exit(0)
os.dup2(null, 0)
os.execv(sys.argv[1], sys.argv[1:])
