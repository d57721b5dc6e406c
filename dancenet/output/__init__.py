"""What a dance is written to: pictures, videos, contact sheets, a page with a player."""
