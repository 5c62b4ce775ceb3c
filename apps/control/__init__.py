"""The control plane: one program, two processes (api, work)."""
