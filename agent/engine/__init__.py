"""libtorrent, behind a small protocol; the only room that imports it."""
