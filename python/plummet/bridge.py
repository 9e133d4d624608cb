"""What the gate starts in place of an adapter: it carries bytes to a process that runs already.

``python bridge.py ADDRESS`` joins its standard input and output to the socket there. It is run as a
file of its own, without the package, since the gate starts it several times a run."""

import os
import socket
import sys
import threading


def carry(read, write):
    while data := read(1 << 16):
        write(data)


def main(address):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)

    def requests():
        carry(lambda size: os.read(0, size), connection.sendall)
        connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=requests, daemon=True).start()
    with open(1, "wb", buffering=0, closefd=False) as answers:

        def write(data):
            while data:
                data = data[answers.write(data) :]

        carry(connection.recv, write)


if __name__ == "__main__":
    main(sys.argv[1])
