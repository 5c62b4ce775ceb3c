"""The agent: fetches torrents and streams them, part by part as they arrive, into the store."""
