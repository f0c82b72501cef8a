"""Reading what runs elsewhere (supervisord, pm2, systemd, Procfile, compose, a main.py) into a fleet.toml; nothing of it is executed."""
