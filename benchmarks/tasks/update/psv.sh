# Code lies in a folder a release; "news" is the link to the one that runs. restart waits until all are ready, and says which are not.
run ln -sfn releases/2 news
run psv restart --type news
until_version 2
run ln -sfn releases/1 news
run psv restart --type news
