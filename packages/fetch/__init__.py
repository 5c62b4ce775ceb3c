"""HTTP to strangers: looked up, checked, connected to exactly the address that was checked, within bounds."""
