"""The repository's own benchmarks: figures beside their floor, measured in the same run on the same machine."""
