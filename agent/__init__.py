"""The compute agent: fetches torrents, and sends each part to the store as soon as its pieces are verified."""
