"""The agent against a real swarm and a real store."""
