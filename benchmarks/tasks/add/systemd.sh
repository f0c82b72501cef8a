# The template has it all.
run systemctl enable --now "shop@$NEW"
