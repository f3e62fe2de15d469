"""The leaderboard: every finished run on one page that needs no server."""
