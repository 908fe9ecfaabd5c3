"""Photo in, photo out: networks on photos of any size, in tiles."""
