"""Exits with 0 when the process of this container is well: `python -I healthy.py [PATH] [PORT]`, /readyz if left out.

It imports next to nothing: it is run every few seconds in each container.
"""

import os
import socket
import sys

path = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
port = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("COMMONS_HTTP_PORT", "8080"))
try:
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.settimeout(3)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
except OSError as error:
    sys.exit(f"Nothing answers at port {port}: {error}.")
status, _, rest = answer.decode(errors="replace").partition("\r\n")
if " 200 " not in f"{status} ":
    sys.exit(f"{status}: {rest.rpartition(chr(10))[2][:1000]}")
