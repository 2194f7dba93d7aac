"""One module for each task queue: what its workers are made of. Imported only by the processes that serve it."""
