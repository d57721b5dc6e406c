"""Writers of dances: pictures, videos, contact sheets, a page with a player."""
