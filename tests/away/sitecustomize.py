"""Loaded by every Python that has this folder on its PYTHONPATH: takes away what another machine would not have.

REACHED_OUT: a file that names each foreign host that was looked up; the look-up is refused.
WITHOUT_UNIX: for the series' own code, what Windows lacks: modules, os functions, a C library; and every file that
it opens as text must name its encoding.
"""

import builtins
import ctypes
import os
import socket
import sys
import warnings

OURS = ("cpt_utils", "__main__", "benchmarks")
UNIX_MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "pty")
UNIX_FUNCTIONS = ("sysconf", "fork", "uname", "getuid", "getloadavg", "sched_getaffinity", "killpg", "mkfifo")


def refuse_the_network(told):
    look_up = socket.getaddrinfo

    def local_only(host, *args, **kwargs):
        if host in (None, "", "localhost", "127.0.0.1", "::1"):
            return look_up(host, *args, **kwargs)
        with open(told, "a", encoding="utf-8") as file:
            file.write(f"{host}\n")
        raise OSError("the network is refused in tests")

    socket.getaddrinfo = local_only


def ours(name):
    return str(name).split(".")[0] in OURS


def refuse_unix():
    there = builtins.__import__

    def without_unix_modules(name, globals=None, *args, **kwargs):
        if name in UNIX_MODULES and ours((globals or {}).get("__name__")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return there(name, globals, *args, **kwargs)

    builtins.__import__ = without_unix_modules
    for name in filter(os.__dict__.get, UNIX_FUNCTIONS):
        setattr(os, name, without_unix_function(name, getattr(os, name)))
    ctypes.CDLL = NoCLibrary
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=rf"({'|'.join(OURS)})(\.|$)")


def without_unix_function(name, function):
    def refusing(*args, **kwargs):
        if ours(sys._getframe(1).f_globals.get("__name__")):
            raise AttributeError(f"module 'os' has no attribute {name!r}")
        return function(*args, **kwargs)

    return refusing


class NoCLibrary(ctypes.CDLL):
    def __init__(self, name, *args, **kwargs):
        if ours(sys._getframe(1).f_globals.get("__name__")):
            raise OSError(f"{name}: there is no such library")
        super().__init__(name, *args, **kwargs)


if "REACHED_OUT" in os.environ:
    refuse_the_network(os.environ["REACHED_OUT"])
if "WITHOUT_UNIX" in os.environ:
    refuse_unix()
