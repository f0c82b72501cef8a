"""A program without libraries: it polls the Bot API as main.py does and imports nothing that takes time."""

import os
import socket
import time

host, port = os.environ["BOT_API"].removeprefix("http://").split(":")
with socket.create_connection((host, int(port))) as connection:
    connection.sendall(f"POST /bot{os.environ['BOT_TOKEN']}/getUpdates HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    while True:
        time.sleep(3600)
