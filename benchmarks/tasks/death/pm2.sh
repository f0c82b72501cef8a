# The exit code and the time are in pm2's log, the traceback is in the bot's, without a time.
run grep -A 12 -e "\[$DEAD:.*exited" -e Traceback "$PM2_HOME/pm2.log" "$PM2_HOME/logs/$DEAD-error.log"
