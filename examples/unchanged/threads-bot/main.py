import json
import logging
import os
import queue
import signal
import threading
import time
import urllib.error
import urllib.request

TOKEN = os.environ["BOT_TOKEN"]
API = os.getenv("TELEGRAM_API", "https://api.telegram.org")
WORKERS = 4

log = logging.getLogger("bot")
updates = queue.Queue(maxsize=100)
stop = threading.Event()


def call(method, patience=10, **params):
    request = urllib.request.Request(
        f"{API}/bot{TOKEN}/{method}", data=json.dumps(params).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=patience) as response:
        return json.load(response)["result"]


def poll():
    offset = 0
    while not stop.is_set():
        try:
            for update in call("getUpdates", patience=35, offset=offset, timeout=25):
                offset = update["update_id"] + 1
                updates.put(update)
        except (OSError, ValueError) as error:
            log.warning("polling failed: %s", error)
            time.sleep(3)


def work():
    while True:
        message = updates.get().get("message", {})
        if "text" in message:
            try:
                call("sendMessage", chat_id=message["chat"]["id"], text=f"You said: {message['text']}")
            except OSError as error:
                log.error("sending failed: %s", error)
        updates.task_done()


def main():
    logging.basicConfig(level=logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    me = call("getMe")
    threading.Thread(target=poll, name="poller", daemon=True).start()
    for number in range(WORKERS):
        threading.Thread(target=work, name=f"worker-{number}", daemon=True).start()
    log.info("@%s is up with %d workers", me["username"], WORKERS)
    stop.wait()
    updates.join()
    log.info("bye")


if __name__ == "__main__":
    main()
