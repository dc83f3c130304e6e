"""A food pantry's week, invented: its sample files, and the story that is told with them."""
