# The type names an env_file, which is read at each start.
edit shop.env s/hello/welcome/
run psv restart --type shop
