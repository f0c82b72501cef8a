# Time, exit code and traceback of the last end, although it runs again.
run psv bot status "$DEAD"
