# The template names an EnvironmentFile, which is read at each start, without daemon-reload.
edit shop.env s/hello/welcome/
run systemctl restart 'shop@*'
