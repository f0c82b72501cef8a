# One program with numprocs=40; update restarts what has changed.
edit supervisord.conf 's/GREETING="hello"/GREETING="welcome"/'
run supervisorctl update
