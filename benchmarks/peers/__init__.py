"""One file for each supervisor that is measured beside psv; all are driven through `base.System`."""
