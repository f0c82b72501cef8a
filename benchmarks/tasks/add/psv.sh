# One bot more of the kind "shop", with its setting.
run psv bot add "$NEW" --type shop -- "$NEW"
