import os

import httpx
from flask import Flask, abort, request

TOKEN = os.environ["BOT_TOKEN"]
API = os.getenv("TELEGRAM_API", "https://api.telegram.org")
PORT = int(os.getenv("PORT", "8080"))
URL = os.getenv("PUBLIC_URL", f"http://127.0.0.1:{PORT}")
SECRET = os.environ["WEBHOOK_SECRET"]

app = Flask(__name__)
telegram = httpx.Client(base_url=f"{API}/bot{TOKEN}/", timeout=10)


@app.post("/telegram")
def webhook():
    if request.headers.get("X-Telegram-Bot-Api-Secret-Token") != SECRET:
        abort(403)
    message = request.get_json().get("message", {})
    if "text" in message:
        telegram.post("sendMessage", json={"chat_id": message["chat"]["id"], "text": f"You said: {message['text']}"})
    return "ok"


@app.get("/healthz")
def healthz():
    return "ok"


if __name__ == "__main__":
    telegram.post("setWebhook", json={"url": f"{URL}/telegram", "secret_token": SECRET}).raise_for_status()
    app.run(host="127.0.0.1", port=PORT)
