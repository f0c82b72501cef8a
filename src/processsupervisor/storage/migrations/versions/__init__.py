"""One file a version: number and what it brought. A released one is never changed."""
