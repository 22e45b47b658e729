#!/usr/bin/env python3
# Connects stdin and stdout to a port of the cage's localhost, IPv4 or IPv6: connect.py PORT
#
# Runs as the cage's user, once per connection of `cage forward`. Prints `refused` to stderr if nothing listens, and `end N`
# once the server has sent all of its N bytes. One thread per direction, so that neither waits for the other.

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
def pump(read, write):
    size = 0
    try:
        for data in iter(lambda: read(65536), b""):
            write(data)
            size += len(data)
    except OSError:
        pass
    return size
def up():
    pump(lambda size: os.read(0, size), server.sendall)
    try:
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    done.release()
def write(data):
    while data:
        data = data[os.write(1, data):]
done = _thread.allocate_lock()
done.acquire()
_thread.start_new_thread(up, ())
os.write(2, b"end %d\n" % pump(server.recv, write))
done.acquire()
os._exit(0)
