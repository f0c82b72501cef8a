# The 30 differ in name and variables, which %i covers here; enable reads the new unit by itself.
edit /etc/systemd/system/old@.service <<END
[Service]
WorkingDirectory=$HOME
Environment="GREETING=from %i"
ExecStart=$PYTHON old/bot.py %i
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
END
run supervisorctl -c old/supervisord.conf shutdown
run sh -c "systemctl enable --now \$(seq -f 'old@old-%02g' $COUNT)"
