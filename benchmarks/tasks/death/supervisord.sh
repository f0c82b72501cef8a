# The exit code and the time are in supervisord's log, the traceback is in the bot's file, without a time.
run grep -A 12 -e "exited: $DEAD " -e Traceback supervisord.log "logs/$DEAD.err"
