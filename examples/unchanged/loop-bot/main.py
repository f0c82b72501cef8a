import os
import time

import httpx

TOKEN = os.environ["BOT_TOKEN"]
API = os.getenv("TELEGRAM_API", "https://api.telegram.org")


def main():
    offset = None
    with httpx.Client(base_url=f"{API}/bot{TOKEN}/", timeout=40) as client:
        name = client.get("getMe").raise_for_status().json()["result"]["username"]
        print(f"@{name} is listening")
        while True:
            try:
                answer = client.get("getUpdates", params={"timeout": 30, "offset": offset or 0}).raise_for_status().json()
            except httpx.HTTPError as error:
                print("error:", error)
                time.sleep(3)
                continue
            for update in answer["result"]:
                offset = update["update_id"] + 1
                message = update.get("message", {})
                if "text" in message:
                    client.post("sendMessage", json={"chat_id": message["chat"]["id"], "text": f"You said: {message['text']}"})


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("bye")
