#!/usr/bin/env python3
# Connects stdin and stdout to a port of the cage's localhost, by IPv4 or IPv6: connect.py PORT
#
# Runs as the cage's user, once per connection of `cage forward`. Prints `refused` to stderr if nothing listens, and `end N`
# once the server has sent all of its N bytes. Each direction has a thread, so that neither waits for the other.

import _thread, os, socket, sys

for host in "127.0.0.1", "::1":
    try:
        server = socket.create_connection((host, int(sys.argv[1])))
        break
    except OSError:
        pass
else:
    sys.exit("refused")
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

def copy(read, write):
    copied = 0
    try:
        for data in iter(lambda: read(65536), b""):
            write(data)
            copied += len(data)
    except OSError:
        pass
    return copied

def write_stdout(data):
    while data:
        data = data[os.write(1, data):]

def copy_stdin():
    copy(lambda size: os.read(0, size), server.sendall)
    try:
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    sent.release()

sent = _thread.allocate_lock()
sent.acquire()
_thread.start_new_thread(copy_stdin, ())
os.write(2, b"end %d\n" % copy(server.recv, write_stdout))
sent.acquire()
os._exit(0)
