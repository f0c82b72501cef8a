# Code lies in a folder a release; "news" is the link to the one that runs. restart waits for startsecs.
run ln -sfn releases/2 news
run supervisorctl restart 'news:*'
until_version 2
run ln -sfn releases/1 news
run supervisorctl restart 'news:*'
