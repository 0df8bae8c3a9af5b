"""Header jobs: which files a compile may read, found without preprocessing."""
