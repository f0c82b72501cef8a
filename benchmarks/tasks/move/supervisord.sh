# The sections are supervisord's already: the home game.
run sh -c "sed -n '/^\[program:/,\$p' old/supervisord.conf > conf.d/moved.conf"
run supervisorctl -c old/supervisord.conf shutdown
run supervisorctl update
