"""A bot as the tasks find it: called with its name, it writes who it is and never runs beside itself. The folder is its fleet's.

It says what it does once a second, and raises an error when there is a file `die/NAME`.
"""

import fcntl
import json
import os
import sys
import time

VERSION = "1"
SUPERVISORS = ("PSV_BOT", "SUPERVISOR_SERVER_URL", "pm_id", "INVOCATION_ID")


class Shop:
    """What the bot asks."""

    def ask(self) -> str:
        if os.path.exists(f"die/{name}"):
            os.unlink(f"die/{name}")
            raise ConnectionError("the shop's database does not answer")
        return "fine"


name = sys.argv[1]
with open(f"seen/{name}.lock", "w") as lock:
    for _ in range(50):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.1)
    else:
        open(f"seen/{name}.twice", "w").close()
        sys.exit(79)
    with open(f"seen/{name}.new", "w") as file:
        under = next((f"{mark}={os.environ[mark]}" for mark in SUPERVISORS if mark in os.environ), "")
        greeting = os.environ.get("GREETING", "")
        json.dump({"version": VERSION, "greeting": greeting, "under": under, "started": time.time()}, file)
    os.replace(f"seen/{name}.new", f"seen/{name}.json")
    while True:
        print(f"{name} {VERSION}: the shop is {Shop().ask()}", flush=True)
        time.sleep(1)
