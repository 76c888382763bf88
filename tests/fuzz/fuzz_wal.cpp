// WAL reader fuzz target.
