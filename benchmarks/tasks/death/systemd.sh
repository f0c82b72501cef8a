# One journal for both; the lines before the manager's own are the traceback.
run sh -c "journalctl --no-pager -u shop@$DEAD --since yesterday | grep -B 12 'Main process exited'"
