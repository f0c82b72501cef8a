# Names are counted in the ecosystem file; save is for the next boot.
edit shop.config.js "s/COUNT = .*/COUNT = ${NEW#shop-}/"
run pm2 start shop.config.js --only "$NEW"
run pm2 save
