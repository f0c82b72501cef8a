# Code lies in a folder a release; "news" is the link to the one that runs, and the namespace of the bots.
run ln -sfn releases/2 news
run pm2 reload news
until_version 2
run ln -sfn releases/1 news
run pm2 reload news
