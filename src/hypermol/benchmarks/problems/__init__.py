"""The problems of the benchmark, one file each (or a family to a file). A file put here is found by its contents."""
