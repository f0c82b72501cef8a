# A section of its own: with one more in numprocs, update would restart the other 40.
edit "conf.d/$NEW.conf" <<END
[program:$NEW]
command=$PYTHON shop/bot.py $NEW
directory=$HOME
environment=GREETING="hello"
stderr_logfile=logs/$NEW.err
END
run supervisorctl update
