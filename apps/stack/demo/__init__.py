"""A swarm of our own on loopback: content made from a seed, a torrent of it, a tracker and a seeder."""
