# psv reads the file of the others.
run psv adopt old/supervisord.conf
run supervisorctl -c old/supervisord.conf shutdown
run psv up --detach --wait
