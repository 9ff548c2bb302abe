"""What workers and machines share: the interface of the store, LMDB for one machine, Redis for several."""
