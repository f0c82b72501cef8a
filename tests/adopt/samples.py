"""Configuration files in the manner of real ones: five of each kind, each with the files that it names.

`{here}` is the folder, `{user}` the user of the tests, `{python}` an interpreter. Every program exists and goes on until it is told to end.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import NamedTuple

LOOP = "import time\nprint('up', flush=True)\nwhile True:\n    time.sleep(60)\n"
TELEGRAM_TOKEN = "123456789:AAF0" + "x" * 31
AIOGRAM = (
    "import asyncio, logging, os\nfrom aiogram import Bot, Dispatcher\n"
    "logging.basicConfig(level=logging.INFO)\nbot = Bot(token=os.environ['BOT_TOKEN'])\nasyncio.run(Dispatcher().start_polling(bot))\n"
)
ENV = f"BOT_TOKEN={TELEGRAM_TOKEN}\n"
WORKER = "#!/bin/sh\nexec sleep 3600\n"
NOTIFIER = (
    "import os, socket, time\nlink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "link.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1))\ntime.sleep(3600)\n"
)


class Sample(NamedTuple):
    """One file to adopt (several for units), what lies beside it, and the bots that come of it."""

    name: str
    given: list[str]
    files: dict[str, str]
    bots: set[str]


def write(sample: Sample, folder: Path) -> list[str]:
    """Write a sample and return the paths to adopt."""
    for name, text in sample.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"{here}": str(folder), "{user}": getpass.getuser(), "{python}": sys.executable}
        for mark, value in values.items():
            text = text.replace(mark, value)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return [str(folder / name) for name in sample.given]


PYTHON = [
    Sample("py-aiogram", ["shop/main.py"], {"shop/main.py": AIOGRAM, "shop/.env": ENV}, {"shop"}),
    Sample("py-discord", ["music.py"], {
        "music.py": "import discord\nfrom settings import TOKEN\nclient = discord.Client(intents=None)\nclient.run(TOKEN)\n",
        "settings.py": "import os\nfrom dotenv import load_dotenv\nload_dotenv()\nTOKEN = os.getenv('DISCORD_TOKEN')\n",
        ".env": "DISCORD_TOKEN=abc\n",
    }, {"music"}),
    Sample("py-telethon", ["user.py"], {
        "user.py": "import os\nfrom telethon import TelegramClient\nclient = TelegramClient('me', int(os.environ['API_ID']), os.environ['API_HASH'])\n",
    }, {"user"}),
    Sample("py-flask", ["hook/app.py"], {
        "hook/app.py": "from flask import Flask\napp = Flask(__name__)\nif __name__ == '__main__':\n    app.run(host='0.0.0.0', port=8123)\n",
    }, {"hook"}),
    Sample("py-token-in-source", ["old/bot.py"], {
        "old/bot.py": f"import telebot\nbot = telebot.TeleBot('{TELEGRAM_TOKEN}')\nbot.infinity_polling()\n",
    }, {"old"}),
]

SUPERVISORD = [
    Sample("sup-one", ["supervisord.conf"], {
        "supervisord.conf": (
            "[unix_http_server]\nfile=%(here)s/sup.sock\n[supervisord]\nlogfile=%(here)s/sup.log\n[supervisorctl]\nserverurl=unix://%(here)s/sup.sock\n"
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n"
            "[program:echo]\ncommand={python} echo.py --fast ; the bot\ndirectory=%(here)s\nautostart=true\nautorestart=true\nstartsecs=2\n"
            "stopsignal=INT\nstopwaitsecs=20\nstdout_logfile=/var/log/echo.log\nstdout_logfile_maxbytes=50MB\nstdout_logfile_backups=3\nredirect_stderr=true\n"
        ),
        "echo.py": LOOP,
    }, {"echo"}),
    Sample("sup-include", ["etc/supervisord.conf"], {
        "etc/supervisord.conf": "[supervisord]\nnodaemon=true\nuser={user}\n[include]\nfiles = conf.d/*.conf extra/*.ini\n",
        "etc/conf.d/a.conf": "[program:alice]\ncommand={python} -u {here}/bots/alice.py\ndirectory={here}/bots\npriority=10\n",
        "etc/conf.d/b.conf": "[program:bob]\ncommand={here}/bots/run.sh\ndirectory={here}/bots\nautorestart=unexpected\nexitcodes=0,2\n",
        "bots/alice.py": LOOP, "bots/run.sh": WORKER,
    }, {"alice", "bob"}),
    Sample("sup-numprocs", ["supervisord.conf"], {
        "supervisord.conf": (
            "[program:worker]\ncommand={python} worker.py --slot %(process_num)d\nprocess_name=%(program_name)s_%(process_num)02d\nnumprocs=3\n"
            "directory={here}\nenvironment=SLOT=\"%(process_num)d\",MODE='fast'\numask=022\n[group:all]\nprograms=worker\npriority=5\n"
        ),
        "worker.py": LOOP,
    }, {"worker_00", "worker_01", "worker_02"}),
    Sample("sup-secret", ["supervisord.conf"], {
        "supervisord.conf": (
            f"[program:shop]\ncommand={{python}} main.py\ndirectory={{here}}\nenvironment=BOT_TOKEN=\"{TELEGRAM_TOKEN}\",\n    LANG_DEFAULT=de\n"
            "startretries=5\nkillasgroup=true\nstopasgroup=true\n"
        ),
        "main.py": AIOGRAM,
    }, {"shop"}),
    Sample("sup-shell", ["supervisord.conf"], {
        "supervisord.conf": (
            "[program:plain]\ncommand=/bin/sh -c \"exec {python} main.py\"\ndirectory={here}\nautorestart=false\n"
            "[program:piped]\ncommand=/bin/bash -c \"./run.sh | cat\"\ndirectory={here}\nautostart=false\n"
            "[eventlistener:mail]\ncommand=mail\nevents=PROCESS_STATE\n"
        ),
        "main.py": LOOP, "run.sh": WORKER,
    }, {"plain", "piped"}),
]

PROCFILE = [
    Sample("proc-one", ["Procfile"], {"Procfile": "bot: python bot.py\n", "bot.py": LOOP}, {"bot"}),
    Sample("proc-env", ["Procfile"], {"Procfile": "# two\nbot: python main.py --polling\nworker: ./run.sh\n", "main.py": AIOGRAM, ".env": ENV, "run.sh": WORKER}, {"bot", "worker"}),
    Sample("proc-pipe", ["Procfile"], {"Procfile": "bot: python bot.py 2>&1 | tee bot.log\n", "bot.py": LOOP}, {"bot"}),
    Sample("proc-assign", ["Procfile.dev"], {"Procfile.dev": "Bot: MODE=dev LEVEL=2 exec python -u bot.py\nrelease: python migrate.py\n", "bot.py": LOOP}, {"bot"}),
    Sample("proc-port", ["Procfile"], {"Procfile": "web: python -m http.server ${PORT:-0}\ntail: tail -f /dev/null\n"}, {"web", "tail"}),
]

SYSTEMD = [
    Sample("unit-simple", ["echo.service"], {
        "echo.service": (
            "[Unit]\nDescription=Echo bot\nAfter=network-online.target\n\n[Service]\nType=simple\nUser={user}\nWorkingDirectory={here}\n"
            "ExecStart={python} {here}/echo.py --fast\nRestart=on-failure\nRestartSec=5\nKillSignal=SIGINT\nTimeoutStopSec=30\n\n"
            "[Install]\nWantedBy=multi-user.target\n"
        ),
        "echo.py": LOOP,
    }, {"echo"}),
    Sample("unit-env", ["shop.service"], {
        "shop.service": (
            "[Service]\nEnvironment=\"GREETING=hello you\" LEVEL=2\nEnvironmentFile={here}/shop.env\nEnvironmentFile=-/nonexistent/more\n"
            "WorkingDirectory={here}\nExecStart=/usr/bin/env {python} main.py \\\n  --level ${LEVEL}\nRestart=always\nUMask=0027\nLimitNOFILE=4096\n"
            "StandardOutput=append:/var/log/shop.log\nProtectSystem=strict\n"
        ),
        "main.py": AIOGRAM, "shop.env": ENV,
    }, {"shop"}),
    Sample("unit-several", ["db.service", "bot.service"], {
        "db.service": "[Service]\nType=notify\nExecStart={python} {here}/db.py\nWorkingDirectory={here}\nRestart=always\n",
        "bot.service": (
            "[Unit]\nAfter=db.service redis.service\nRequires=db.service\n[Service]\nExecStart={here}/run.sh bot\nWorkingDirectory={here}\n"
            "ExecStartPre=/bin/true\nWatchdogSec=30\nMemoryMax=512M\n"
        ),
        "bot.service.d/override.conf": "[Service]\nExecStart=\nExecStart={here}/run.sh other\n",
        "run.sh": WORKER, "db.py": NOTIFIER,
    }, {"db", "bot"}),
    Sample("unit-template", ["chat@.service"], {
        "chat@.service": "[Service]\nWorkingDirectory={here}\nExecStart={python} chat.py --room %i\nRestart=always\n",
        "multi-user.target.wants/chat@red.service": "",
        "multi-user.target.wants/chat@blue.service": "",
        "chat.py": LOOP,
    }, {"chat-red", "chat-blue"}),
    Sample("unit-shell", ["loud.service"], {
        "loud.service": "[Service]\nWorkingDirectory={here}\nExecStart=/bin/bash -c 'cd {here} && exec ./run.sh >> out.txt 2>&1'\nRestart=always\n",
        "run.sh": WORKER,
    }, {"loud"}),
]

PM2 = [
    Sample("pm2-json", ["ecosystem.json"], {
        "ecosystem.json": '{\n  "apps": [\n    {"name": "echo", "script": "echo.py", "interpreter": "{python}", "args": "--fast", "kill_timeout": 3000}\n  ]\n}\n',
        "echo.py": LOOP,
    }, {"echo"}),
    Sample("pm2-list", ["pm2.json"], {
        "pm2.json": '[{"name": "A Bot", "script": "./run.sh", "cwd": "sub", "env": {"MODE": "x", "N": 3}, "env_production": {"MODE": "y"}, "watch": true}]',
        "sub/run.sh": WORKER,
    }, {"a-bot"}),
    Sample("pm2-fork", ["ecosystem.config.json"], {
        "ecosystem.config.json": (
            '{"apps": {"name": "w", "script": "w.py", "interpreter": "{python}", "instances": 2, "exec_mode": "fork", "autorestart": false,'
            ' "max_memory_restart": "300M", "restart_delay": 2000, "error_file": "/tmp/e.log"}}'
        ),
        "w.py": LOOP,
    }, {"w-0", "w-1"}),
    Sample("pm2-yaml", ["process.yml"], {
        "process.yml": "apps:\n  - name: bot\n    script: ./run.sh\n    interpreter: none\n    cron_restart: '0 4 * * *'\n    env:\n      DEBUG: true\n",
        "run.sh": WORKER,
    }, {"bot"}),
    Sample("pm2-js", ["ecosystem.config.js"], {
        "ecosystem.config.js": "const name = 'js' + 'bot';\nmodule.exports = { apps: [{ name, script: 'run.sh', args: ['a b', 'c'] }] };\n",
        "run.sh": WORKER,
    }, {"jsbot"}),
]

COMPOSE = [
    Sample("comp-build", ["compose.yaml"], {
        "compose.yaml": (
            "services:\n  bot:\n    build: .\n    restart: unless-stopped\n    environment:\n      LEVEL: 2\n      DEBUG: true\n    stop_signal: SIGINT\n"
            "    stop_grace_period: 1m30s\n    depends_on: [db]\n  db:\n    image: postgres:16\n    volumes: [data:/var/lib/postgresql/data]\nvolumes:\n  data:\n"
        ),
        "Dockerfile": "FROM python:3.12-slim AS base\nWORKDIR /app\nCOPY . .\nRUN pip install \\\n    aiogram\nENV MODE=prod\nCMD [\"python\", \"/app/main.py\"]\n",
        "main.py": LOOP,
    }, {"bot"}),
    Sample("comp-mount", ["docker-compose.yml"], {
        "docker-compose.yml": (
            "version: '3.8'\nx-common: &common\n  restart: always\n  working_dir: /srv/bot\n  volumes: ['./app:/srv/bot']\n"
            "services:\n  alice:\n    <<: *common\n    image: python:3.12\n    command: python bot.py --name alice\n"
            "  bob:\n    <<: *common\n    image: python:3.12\n    command: [python, bot.py, --name, bob]\n    ports: ['8080:8080']\n    depends_on: {alice: {condition: service_started}}\n"
        ),
        "app/bot.py": LOOP,
    }, {"alice", "bob"}),
    Sample("comp-env", ["compose.yml"], {
        "compose.yml": (
            "services:\n  shop:\n    build: {context: shop}\n    env_file: [shop.env]\n    environment:\n      - LEVEL=${LEVEL:-3}\n      - REGION\n"
            "    restart: on-failure:5\n    mem_limit: 512m\n    healthcheck: {test: [CMD, 'true']}\n"
        ),
        "shop.env": ENV, ".env": "REGION=eu\n",
        "shop/Dockerfile": "FROM python:3.12\nWORKDIR /code\nCOPY . /code\nENTRYPOINT [\"python\", \"-u\"]\nCMD [\"main.py\"]\n",
        "shop/main.py": AIOGRAM,
    }, {"shop"}),
    Sample("comp-profile", ["compose.yaml"], {
        "compose.yaml": "services:\n  tool:\n    build: .\n    command: ./run.sh\n    working_dir: /w\n    volumes: ['.:/w']\n    profiles: [tools]\n    deploy: {replicas: 2}\n",
        "run.sh": WORKER,
    }, {"tool"}),
    Sample("comp-shell", ["compose.yaml"], {
        "compose.yaml": "services:\n  bot:\n    build: .\n    command: sh -c \"./run.sh && echo done\"\n    init: true\n",
        "Dockerfile": "FROM debian\nWORKDIR /x\nCOPY . .\nCMD ./run.sh\n", "run.sh": WORKER,
    }, {"bot"}),
]

KINDS = {"python": PYTHON, "supervisord": SUPERVISORD, "procfile": PROCFILE, "systemd": SYSTEMD, "pm2": PM2, "compose": COMPOSE}
ALL = [pytest_sample for samples in KINDS.values() for pytest_sample in samples]
