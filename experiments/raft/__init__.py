"""RAFT: its runs, what they found, and the folder that is handed in."""
