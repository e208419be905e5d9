"""Runs a program that lives only while its standard input is held open.

    python attended.py <program> <arguments>...

A test ends its own processes. The processes that tests share, and all processes if the
tests are killed, end because the system closes the pipe.
"""

import os
import signal
import sys

program = os.getpid()
null = os.open(os.devnull, os.O_RDWR)
if os.fork() == 0:
    # The child holds only the pipe that it watches.
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    # The process id may belong to another process by now.
    if os.getppid() == program:
        os.kill(program, signal.SIGKILL)
    os._exit(0)
os.dup2(null, 0)
os.execv(sys.argv[1], sys.argv[1:])
