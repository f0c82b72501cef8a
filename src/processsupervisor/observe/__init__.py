"""What psv tells about itself: logging of our own processes, and the rules by which secrets are kept out of logs."""
