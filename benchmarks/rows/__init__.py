"""One file for each group of rows; each row is a function that takes the bench and returns a goals.Row."""
