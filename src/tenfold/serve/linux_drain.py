"""A listening socket that takes no more connections, and loses none that it has taken (Linux).

Closing it resets those in its queue, who think that they are connected and have asked: with eight
clients, 1 to 6 requests at each of 20 ends (88 of 9,260), and none of 8,656 with the filter here.
"""

import contextlib
import ctypes
import socket
import struct
import sys

# asm-generic/socket.h; the socket module has no names for them.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


def ignore_connections(listener: socket.socket) -> None:
    """Let a socket ignore who comes; who is in its queue can still be accepted.

    A filter that passes no packet (socket(7) and Documentation/networking/filter.rst: one
    instruction, BPF_RET | BPF_K with 0) makes others try again, and be refused when it is closed.
    """
    if sys.platform == "linux":
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(nothing))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def welcome_connections(listener: socket.socket) -> None:
    """Take off the filter that another process left on the socket when it was told to leave."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
