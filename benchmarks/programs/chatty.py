"""Writes a line and works for two milliseconds each second: every line of a screen of such bots changes at every look."""

import time

number = 0
while True:
    number += 1
    print(f"message {number} was handled in 2 ms", flush=True)
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        pass
    time.sleep(1)
