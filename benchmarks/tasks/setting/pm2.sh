# An ecosystem file a kind. The environment is kept by pm2 and in its dump, hence save.
edit shop.config.js s/hello/welcome/
run pm2 reload shop.config.js
run pm2 save
