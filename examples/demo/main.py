"""An ordinary program: it knows nothing of its supervisor, prints what it does, and ends when it is asked to."""

import time

started = time.strftime("%H:%M:%S")
beats = 0

while True:
    beats += 1
    print(f"beat {beats} since {started}")
    time.sleep(5)
